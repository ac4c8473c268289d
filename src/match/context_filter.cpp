// Why it is made this way. The embedding of a whole window hides a changed turn behind unchanged ones,
// so turns are embedded one by one and each must agree with its counterpart. The window forgets what a
// long conversation is about, so anchors are taken from all turns: "When was he born?" after the same
// three turns about two different people must not match. A turn the model sees only the beginning of
// cannot be compared at all. What remains equivalent is a conversation in other words about the same
// things; an identical one needs none of this. One kind is recognised beside that: the same full replies
// to questions that ask for nothing the replies do not name. There the replies say what it is about.

#include "enhanced_gptcache/context_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "match/guards.h"
#include "match/words.h"

namespace enhanced_gptcache {
namespace {

/// More anchors are folded into one: a conversation must not make an entry grow without bound. The first
/// ones in alphabetical order are kept in clear, so that a refusal can mostly name what differs.
constexpr size_t kAnchorsMax = 48;
constexpr size_t kAnchorBytesMax = 48;
constexpr base::SecretKey kPublicKey{};
/// A shorter reply ("Sure. When?") would answer many questions.
constexpr size_t kFullReplyWords = 12;
constexpr std::string_view kRepliesTag = "replies:";
/// Stems that only say that something is to be told.
constexpr auto kRequestStems = std::to_array<std::string_view>(
    {"concept",  "describ", "describe", "discus",      "discuss",      "effect",   "explain",
     "factor",   "impact",  "import",   "importanc",   "importance",   "know",     "lead",
     "led",      "outlin",  "outline",  "overview",    "phenomenon",   "principl", "principle",
     "process",  "role",    "signific", "significanc", "significance", "summar",   "summaris",
     "summariz", "tell",    "topic",    "understand",  "work"});
static_assert(std::is_sorted(kRequestStems.begin(), kRequestStems.end()));

std::string_view bytes_of(const base::Hash128& hash) {
  return {reinterpret_cast<const char*>(&hash), sizeof hash};
}

uint64_t hash_of(std::span<const Turn> context) {
  base::Hash128 hash;
  for (const Turn& turn : context)
    hash = base::keyed_hash(kPublicKey, "context turn", {bytes_of(hash), turn.role, turn.content});
  return hash.low;
}

/// Sorted and each once; the surplus folded into one anchor that stands for all of it.
std::vector<std::string> bounded(std::vector<std::string> anchors) {
  for (std::string& anchor : anchors) {
    if (anchor.size() > kAnchorBytesMax)
      anchor = "hash:" + base::keyed_hash(kPublicKey, "long anchor", {anchor}).hex();
  }
  std::sort(anchors.begin(), anchors.end());
  anchors.erase(std::unique(anchors.begin(), anchors.end()), anchors.end());
  if (anchors.size() <= kAnchorsMax) return anchors;
  base::Hash128 rest;
  for (size_t i = kAnchorsMax - 1; i < anchors.size(); ++i)
    rest = base::keyed_hash(kPublicKey, "anchors", {bytes_of(rest), anchors[i]});
  anchors.resize(kAnchorsMax - 1);
  anchors.push_back("rest:" + rest.hex());
  std::sort(anchors.begin(), anchors.end());
  return anchors;
}

/// What a user's turn asks for that its reply does not name: words, and all that guards look at.
std::string residue_of(const Turn& turn, const match::Words& reply) {
  std::vector<std::string> own;
  match::append_anchors(match::Words(turn.content), own);
  std::vector<std::string> named;
  match::append_anchors(reply, named);
  std::sort(named.begin(), named.end());
  std::erase_if(own, [&](const std::string& anchor) {
    if (anchor.starts_with("order:") || std::binary_search(named.begin(), named.end(), anchor)) return true;
    if (!anchor.starts_with("word:") && !anchor.starts_with("name:")) return false;
    const std::string_view stem = std::string_view(anchor).substr(5);
    return reply.has_stem(stem) || std::binary_search(kRequestStems.begin(), kRequestStems.end(), stem);
  });
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  std::string joined;
  for (const std::string& anchor : own) joined += anchor + '\n';
  return joined;
}

/// The same for conversations with the same full reply to each turn of the user's, who asked for the same in
/// other words; empty when a turn has no full reply.
std::string replies_anchor(std::span<const Turn> context) {
  base::Hash128 hash;
  const auto add = [&](std::string_view role, std::string_view text) {
    hash = base::keyed_hash(kPublicKey, "replies", {bytes_of(hash), role, text});
  };
  for (size_t i = 0; i < context.size(); ++i) {
    if (context[i].role != "user") {
      add(context[i].role, context[i].content);
      continue;
    }
    if (i + 1 == context.size() || context[i + 1].role != "assistant") return {};
    const match::Words reply(context[i + 1].content);
    if (reply.size() < kFullReplyWords) return {};
    add("user", residue_of(context[i], reply));
  }
  return std::string(kRepliesTag) + hash.hex();
}

/// The replies' anchor, cut out; empty: there is none.
std::string take_replies(std::vector<std::string>& anchors) {
  const auto found = std::find_if(anchors.begin(), anchors.end(),
                                  [](const std::string& anchor) { return anchor.starts_with(kRepliesTag); });
  if (found == anchors.end()) return {};
  std::string taken = std::move(*found);
  anchors.erase(found);
  return taken;
}

/// The first anchor that only one side has; empty: none.
std::string differing_anchor(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (in_a == a.end() && in_b == b.end()) return {};
  if (in_a == a.end()) return *in_b;
  if (in_b == b.end()) return *in_a;
  return std::min(*in_a, *in_b);
}

/// Cosines of the turns' vectors, which lie side by side: their mean and the least.
struct TurnCosines {
  double mean = 0;
  double least = 1;
};
TurnCosines cosines_of(std::span<const float> a, std::span<const float> b, size_t turns) {
  TurnCosines cosines;
  const size_t length = a.size() / turns;
  for (size_t turn = 0; turn < turns; ++turn) {
    double dot = 0;
    for (size_t i = turn * length; i < (turn + 1) * length; ++i) dot += static_cast<double>(a[i]) * b[i];
    const double cosine = std::clamp(dot * static_cast<double>(turns), -1.0, 1.0);
    cosines.mean += cosine / static_cast<double>(turns);
    cosines.least = std::min(cosines.least, cosine);
  }
  return cosines;
}

ContextVerdict different(std::string reason, double divergence) {
  return {false, divergence, std::move(reason)};
}

}  // namespace

ContextFilter::ContextFilter(const ContextOptions& options, const Embedder* embedder)
    : options_(options), embedder_(embedder) {
  options_.window_size = std::max<size_t>(1, options_.window_size);
}

ContextFingerprint ContextFilter::outline(std::span<const Turn> context) const {
  ContextFingerprint print;
  print.turns = context.size();
  if (context.empty()) return print;
  print.exact_hash = hash_of(context);
  // Who spoke when, by initials: the same words said by the other side are another conversation.
  std::vector<std::string> anchors{"roles:"};
  for (const Turn& turn : context) anchors.front() += turn.role.empty() ? '?' : turn.role.front();
  for (const Turn& turn : context) match::append_anchors(match::Words(turn.content), anchors);
  print.anchors = bounded(std::move(anchors));
  if (std::string replies = replies_anchor(context); !replies.empty()) {
    print.anchors.push_back(std::move(replies));
    std::sort(print.anchors.begin(), print.anchors.end());
  }
  return print;
}

Result<ContextFingerprint> ContextFilter::fingerprint(std::span<const Turn> context) const {
  ContextFingerprint print = outline(context);
  if (context.empty() || embedder_ == nullptr || !options_.enabled) return print;
  const auto window = context.last(std::min(context.size(), options_.window_size));
  std::vector<std::string_view> texts;
  for (const Turn& turn : window) {
    // Tokenizing is cheap, embedding a long turn in vain is not.
    if (embedder_->inspect(turn.content).truncated) return print;
    texts.push_back(turn.content);
  }
  EGPTC_TRY(const std::vector<Embedding> embedded, embedder_->embed_batch(texts));
  const float scale = 1.0F / std::sqrt(static_cast<float>(embedded.size()));
  for (const Embedding& turn : embedded) {
    if (turn.stats.truncated) {
      print.vector.clear();
      return print;
    }
    for (const float value : turn.values) print.vector.push_back(value * scale);
  }
  return print;
}

ContextVerdict ContextFilter::compare(const ContextFingerprint& entry,
                                      const ContextFingerprint& prompt) const {
  if (entry.turns == 0 && prompt.turns == 0) return {true, 0, {}};
  if (entry.turns == 0 || prompt.turns == 0) return different("only one side has a conversation", 1);
  if (entry.turns == prompt.turns && entry.exact_hash == prompt.exact_hash) return {true, 0, {}};
  if (!options_.enabled) return different("the conversations are not identical", 1);
  // Without both vectors nothing is known about the distance: 1 stands for "unrelated".
  const size_t turns = std::min(prompt.turns, options_.window_size);
  const bool comparable = !entry.vector.empty() && entry.vector.size() == prompt.vector.size() &&
                          std::min(entry.turns, options_.window_size) == turns &&
                          entry.vector.size() % turns == 0;
  const TurnCosines cosines = comparable ? cosines_of(entry.vector, prompt.vector, turns) : TurnCosines{0, 0};
  const double divergence = 1 - cosines.mean;
  std::vector<std::string> entry_anchors = entry.anchors;
  std::vector<std::string> prompt_anchors = prompt.anchors;
  const std::string entry_replies = take_replies(entry_anchors);
  const bool same_replies = entry_replies == take_replies(prompt_anchors) && !entry_replies.empty();
  const std::string anchor = differing_anchor(entry_anchors, prompt_anchors);
  if (!anchor.empty() && !same_replies)
    return different(fmt::format("{} on one side only", anchor), divergence);
  if (!comparable) {
    ContextVerdict verdict = different("the conversations could not be compared", divergence);
    verdict.undecided = prompt.vector.empty() && !entry.vector.empty();
    return verdict;
  }
  // Negated, and the mean too, so that a value that is not a number refuses.
  const double limit = options_.divergence_threshold;
  // Of questions with the same reply the reply vouches; alone they may read quite differently.
  if ((!same_replies && !(1 - cosines.least <= limit)) || !(divergence <= limit))
    return different(fmt::format("a turn diverges by {:.3f}", 1 - cosines.least), divergence);
  return {true, divergence, {}};
}

}  // namespace enhanced_gptcache
