// Antonyms: where one text has a word, the other has a word of the opposite side instead.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Two sides, words separated by spaces; compared by stem. "turn-on" is a verb with its particle, "out-of"
/// two neighbouring words.
struct Opposites {
  std::string_view left;
  std::string_view right;
};

constexpr std::string_view kInsteadOf = "instead-of";
constexpr size_t kInsteadOfReach = 2;

constexpr auto kOpposites = std::to_array<Opposites>({
    {"before prior until", "after since following"},
    {"buy purchase", "sell"},
    {"enable activate allow", "disable deactivate prevent block forbid"},
    {"allow permit", "deny forbid ban prohibit"},
    {"block", "unblock"},
    {"increase raise grow rise gain", "decrease reduce lower shrink fall lose drop decline"},
    {"gain", "lose"},
    {"open", "close shut"},
    {"start begin", "stop end finish quit"},
    {"add insert", "remove delete subtract"},
    {"create", "delete destroy"},
    {"delete remove", "restore recover undelete"},
    {"reset", "delete"},
    {"install", "uninstall"},
    {"turn-on switch-on power-on", "turn-off switch-off power-off shut-off"},
    {"log-in sign-in opt-in", "log-out log-off sign-out opt-out"},
    {"check-in", "check-out"},
    {"scale-up speed-up roll-up turn-up", "scale-down slow-down roll-down turn-down"},
    {"put-on", "take-off"},
    {"lock", "unlock"},
    {"upload", "download"},
    {"import", "export"},
    {"encrypt", "decrypt"},
    {"encode", "decode"},
    {"compress", "decompress extract"},
    {"subscribe", "unsubscribe"},
    {"connect", "disconnect"},
    {"attach", "detach"},
    {"push", "pull"},
    {"send", "receive"},
    {"borrow", "lend"},
    {"teach", "learn"},
    {"win", "lose"},
    {"pass", "fail"},
    {"accept", "reject decline refuse"},
    {"join", "leave quit"},
    {"enter", "exit leave"},
    {"arrive arrival", "depart departure leave"},
    {"arriving", "leaving departing"},
    {"deposit", "withdraw withdrawal"},
    {"credit", "debit"},
    {"income", "expense"},
    {"import importer", "export exporter"},
    {"best", "worst"},
    {"good", "bad"},
    {"better", "worse"},
    {"more", "less fewer"},
    {"most", "least fewest"},
    {"maximum max", "minimum min"},
    {"maximize", "minimize"},
    {"highest", "lowest"},
    {"high higher", "low lower"},
    {"large larger big bigger", "small smaller little"},
    {"largest biggest", "smallest"},
    {"oldest older elder", "youngest younger"},
    {"long longer", "short shorter"},
    {"longest", "shortest"},
    {"tallest", "shortest"},
    {"fast faster quick quicker", "slow slower"},
    {"fastest", "slowest"},
    {"expensive", "cheap"},
    {"cheapest", "costliest"},
    {"earliest early", "latest late"},
    {"first", "last"},
    {"new newest newer", "old oldest older"},
    {"easy easier", "hard harder difficult"},
    {"easiest", "hardest"},
    {"hot warm hotter", "cold cool colder"},
    {"strong stronger", "weak weaker"},
    {"rich richest", "poor poorest"},
    {"safe", "dangerous unsafe"},
    {"legal", "illegal"},
    {"possible", "impossible"},
    {"true", "false"},
    {"correct right", "wrong incorrect"},
    {"positive", "negative"},
    {"advantage pro benefit", "disadvantage con drawback"},
    {"like love", "dislike hate"},
    {"success succeed", "failure fail"},
    {"public", "private"},
    {"internal", "external"},
    {"inside indoor", "outside outdoor"},
    {"above over", "below under beneath"},
    {"left", "right"},
    {"north northern", "south southern"},
    {"east eastern", "west western"},
    {"north", "east"},
    {"top", "bottom"},
    {"front", "back"},
    {"summer", "winter"},
    {"spring", "autumn"},
    {"morning", "evening night"},
    {"day", "night"},
    {"breakfast", "dinner lunch"},
    {"lunch", "dinner supper"},
    {"past", "future"},
    {"temporary temporarily", "permanent permanently"},
    {"with", "without"},
    {"always", "never"},
    {"everyone everybody", "nobody"},
    {"sync synchronous", "async asynchronous"},
    {"ascending", "descending"},
    {"horizontal", "vertical"},
    {"input", "output"},
    {"read", "write"},
    {"client", "server"},
    {"vertex", "edge"},
    {"beginner novice", "expert advanced"},
    {"man men male boy guy", "woman women female girl"},
    {"husband boyfriend", "wife girlfriend"},
    {"father dad", "mother mom"},
    {"son", "daughter"},
    {"brother", "sister"},
    {"king", "queen"},
    {"uncle", "aunt"},
    {"alive", "dead"},
    {"birth born", "death died"},
    {"married marriage", "divorce divorced"},
    {"introvert", "extrovert"},
    {"optimistic", "pessimistic"},
    {"active", "passive"},
    {"zoom-in", "zoom-out"},
    {"millionaire", "billionaire trillionaire"},
    {"tenant renter", "landlord landlady"},
    {"lender", "borrower"},
    {"employer", "employee"},
    {"buyer", "seller"},
    {"plaintiff", "defendant"},
    {"only", "except"},
    {"include including", "exclude excluding"},
    {"freeze", "thaw"},
    {"asleep", "awake"},
    {"major", "minor"},
    {"singular", "plural"},
    {"into", "out-of"},
    {"with", kInsteadOf},
});

struct Side {
  uint16_t pair;
  bool right;
};

/// Stem -> the sides it stands on.
const std::unordered_map<std::string, std::vector<Side>>& sides() {
  static const auto table = [] {
    std::unordered_map<std::string, std::vector<Side>> built;
    const auto add = [&built](std::string_view words, uint16_t pair, bool right) {
      while (!words.empty()) {
        const size_t space = words.find(' ');
        const std::string_view word = words.substr(0, space);
        const bool compound = word.find('-') != std::string_view::npos;  // verb-particle: a stem already
        built[compound ? std::string(word) : stem_of(word)].push_back({pair, right});
        words = space == std::string_view::npos ? std::string_view() : words.substr(space + 1);
      }
    };
    for (uint16_t pair = 0; pair < kOpposites.size(); ++pair) {
      add(kOpposites[pair].left, pair, false);
      add(kOpposites[pair].right, pair, true);
    }
    return built;
  }();
  return table;
}

/// What a text has of each pair it touches: how often, and the last word, on the left and on the right side.
struct Found {
  uint16_t pair;
  size_t left_count = 0;
  size_t right_count = 0;
  std::string_view left;
  std::string_view right;
};

void count_sides(const std::string& key, std::string_view shown, std::vector<Found>& found) {
  const auto entry = sides().find(key);
  if (entry == sides().end()) return;
  for (const Side side : entry->second) {
    auto place =
        std::find_if(found.begin(), found.end(), [&](const Found& f) { return f.pair == side.pair; });
    if (place == found.end()) place = found.insert(found.end(), Found{side.pair, 0, 0, {}, {}});
    ++(side.right ? place->right_count : place->left_count);
    (side.right ? place->right : place->left) = shown;
  }
}

bool is_particle(std::string_view word) {
  return word == "on" || word == "off" || word == "in" || word == "out" || word == "up" || word == "down";
}

/// "out of", "instead of"; but "replace butter with oil" asks what "instead of butter" asks.
std::string_view joined_with_of(const Words& words, size_t i) {
  if (i == 0 || words[i].text != "of") return {};
  if (words[i - 1].text == "out") return "out-of";
  return words[i - 1].text == "instead" ? kInsteadOf : std::string_view();
}
bool tells_of_exchange(const Words& words) {
  static const std::array<std::string, 5> kStems{stem_of("replace"), stem_of("substitute"), stem_of("swap"),
                                                 stem_of("switch"), stem_of("exchange")};
  return std::any_of(kStems.begin(), kStems.end(),
                     [&](const std::string& stem) { return words.has_stem(stem); });
}

std::vector<Found> find_sides(const Words& words) {
  std::vector<Found> found;
  std::string key;
  for (size_t i = 0; i < words.size(); ++i) {
    key.assign(words[i].stem);
    count_sides(key, words[i].text, found);
    if (const std::string_view joined = joined_with_of(words, i); !joined.empty())
      count_sides(std::string(joined), joined, found);
    // "turn off", "turn the light off": a particle belongs to a verb at most four words before.
    if (!is_particle(words[i].text)) continue;
    for (size_t back = 1; back <= 4 && back <= i; ++back) {
      key.assign(words[i - back].stem).append("-").append(words[i].text);
      if (!sides().contains(key)) continue;
      count_sides(key, words[i].text, found);
      break;
    }
  }
  return found;
}

}  // namespace

void append_antonym_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const Found& found : find_sides(words)) {
    // Named by the words of the table, not by its row, so that rows may be added.
    const Opposites& pair = kOpposites[found.pair];
    if (found.left_count > found.right_count) anchors.push_back(fmt::format("side:{}", pair.left));
    if (found.right_count > found.left_count) anchors.push_back(fmt::format("side:{}", pair.right));
  }
}

namespace {

bool stand_together(const Words& words, std::string_view first, std::string_view second) {
  for (size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i].text == first && words[i + 1].text == second) return true;
  return false;
}

/// "reasonable" here and "unreasonable" there, each only on its side; empty: none.
std::string prefix_opposite(const Words& a, const Words& b) {
  static constexpr auto kPrefixes =
      std::to_array<std::string_view>({"un", "dis", "in", "im", "ir", "il", "non", "mis", "de", "anti", "bi",
                                       "semi", "sub", "pre", "post", "over", "under", "counter", "pseudo"});
  const auto has = [](const Words& words, std::string_view text) {
    return std::any_of(words.words().begin(), words.words().end(),
                       [&](const Word& w) { return w.text == text; });
  };
  for (const Word& word : a.words()) {
    for (const std::string_view prefix : kPrefixes) {
      if (word.text.size() < prefix.size() + 4 || !word.text.starts_with(prefix)) continue;
      const std::string_view rest = word.text.substr(prefix.size());
      const std::string_view stem = word.stem.substr(std::min(prefix.size(), word.stem.size()));
      // "bicycle" is a cycle; "over rated" is overrated.
      if (prefix == "bi" && !rest.ends_with("ly") && rest != "annual") continue;
      if (stand_together(b, prefix, rest)) continue;
      const bool is_there = has(b, rest) || b.has_stem(stem);
      const bool is_here = has(a, rest) || a.has_stem(stem);
      if (is_there && !is_here && !b.has_stem(word.stem))
        return fmt::format("{} against {}", word.text, rest);
    }
  }
  return {};
}

/// "upstream" here and "downstream" there.
std::string exchanged_prefix(const Words& a, const Words& b) {
  struct Prefixes {
    std::string_view one;
    std::string_view other;
  };
  static constexpr auto kPairs = std::to_array<Prefixes>({{"up", "down"},
                                                          {"in", "out"},
                                                          {"intra", "inter"},
                                                          {"inner", "outer"},
                                                          {"over", "under"},
                                                          {"pre", "post"},
                                                          {"hyper", "hypo"},
                                                          {"macro", "micro"},
                                                          {"for", "back"},
                                                          {"kilo", "kibi"},
                                                          {"mega", "mebi"},
                                                          {"giga", "gibi"},
                                                          {"tera", "tebi"},
                                                          {"mono", "poly"}});
  constexpr size_t kRestBytesMin = 3;
  for (const Word& word : a.words()) {
    for (const auto& [one, other] : kPairs) {
      if (!word.text.starts_with(one) || word.text.size() < one.size() + kRestBytesMin) continue;
      const std::string_view rest = word.text.substr(one.size());
      // A name of its own: clang 14 does not let a lambda capture a structured binding.
      const std::string_view opposite = other;
      const auto is_opposite = [&](const Word& w) {
        return w.text.size() == opposite.size() + rest.size() && w.text.starts_with(opposite) &&
               w.text.ends_with(rest);
      };
      if (std::any_of(b.words().begin(), b.words().end(), is_opposite) && !b.has_stem(word.stem) &&
          std::none_of(a.words().begin(), a.words().end(), is_opposite))
        return fmt::format("{} against {}{}", word.text, other, rest);
    }
  }
  return {};
}

}  // namespace

std::string antonym_refusal(const Words& query, const Words& candidate) {
  for (const auto& opposite : {prefix_opposite, exchanged_prefix}) {
    if (std::string found = opposite(query, candidate); !found.empty()) return found;
    if (std::string found = opposite(candidate, query); !found.empty()) return found;
  }
  const std::vector<Found> a = find_sides(query);
  if (a.empty()) return {};
  // "With" has many meanings: only where little else differs.
  const bool is_one_for_the_other =
      !tells_of_exchange(query) && !tells_of_exchange(candidate) &&
      std::max(query.size(), candidate.size()) <= std::min(query.size(), candidate.size()) + kInsteadOfReach;
  const std::vector<Found> b = find_sides(candidate);
  for (const Found& in_query : a) {
    for (const Found& in_candidate : b) {
      if (in_query.pair != in_candidate.pair) continue;
      if (kOpposites[in_query.pair].right == kInsteadOf && !is_one_for_the_other) continue;
      const bool fewer_left = in_candidate.left_count < in_query.left_count;
      const bool more_left = in_candidate.left_count > in_query.left_count;
      const bool fewer_right = in_candidate.right_count < in_query.right_count;
      const bool more_right = in_candidate.right_count > in_query.right_count;
      if (fewer_left && more_right) return fmt::format("{} against {}", in_query.left, in_candidate.right);
      if (fewer_right && more_left) return fmt::format("{} against {}", in_query.right, in_candidate.left);
    }
  }
  return {};
}

}  // namespace enhanced_gptcache::match
