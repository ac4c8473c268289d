#include "match/injection.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

namespace enhanced_gptcache::match {
namespace {

/// Texts are looked at as far as this; a longer one is cut by the model's window and exact only anyway.
constexpr size_t kBytesMax = 16384;
/// An answer repeated from the question in one piece of at least so many words, and so much of it.
constexpr size_t kEchoWordsMin = 4;
constexpr double kEchoShare = 0.8;
/// A longer question does not fit the model's window and is matched exactly in any case.
constexpr size_t kQuestionWordsMax = 400;

struct Token {
  std::string text;             ///< lower case
  bool starts_clause = false;   ///< first word after . ? ! ; : a dash or a line end, or of the text
  bool after_first = false;     ///< in the second clause or later
  bool before_payload = false;  ///< a quotation or a colon follows directly
  bool is_address = false;      ///< a link, a host name, a mail address or a telephone number
};
using Tokens = std::vector<Token>;
using Names = std::initializer_list<std::string_view>;

bool is_one_of(std::string_view word, Names names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '\'' || (c & 0x80) != 0;
}

/// Inside a token: what holds host names, numbers and mail addresses together.
bool is_joint(std::string_view text, size_t at) {
  return at + 1 < text.size() && is_one_of(text.substr(at, 1), {".", "@", "-", "/", ":", "_"}) &&
         is_word_char(text[at + 1]);
}

bool looks_like_address(std::string_view word) {
  if (word.find('@') != std::string_view::npos || word.starts_with("www.") || word.starts_with("http"))
    return true;
  const auto digits = std::count_if(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits >= 6) return true;
  const size_t dot = word.rfind('.');
  if (dot == std::string_view::npos || dot + 3 > word.size() || dot < 2) return false;
  return std::all_of(word.begin() + static_cast<std::ptrdiff_t>(dot) + 1, word.end(),
                     [](char c) { return c >= 'a' && c <= 'z'; });
}

/// What stands between two words.
struct Gap {
  bool ends_clause = false;
  bool ends_sentence = false;
  bool opens_payload = false;
};

Gap gap_of(std::string_view between) {
  Gap gap;
  for (const char c : between) {
    if (c == '.' || c == '?' || c == '!' || c == '\n') gap.ends_sentence = true;
    if (gap.ends_sentence ||
        is_one_of(std::string_view(&c, 1), {";", ":", "(", "[", "-", ",", "|", "#", "*"}))
      gap.ends_clause = true;
    if (c == '"' || c == ':' || c == '\'' || c == '`') gap.opens_payload = true;
  }
  // Typographic quotation marks and dashes.
  for (const std::string_view quote : {"\xE2\x80\x9C", "\xE2\x80\x98", "\xC2\xAB", "\xE2\x80\x9E"})
    gap.opens_payload = gap.opens_payload || between.find(quote) != std::string_view::npos;
  for (const std::string_view dash : {"\xE2\x80\x94", "\xE2\x80\x93"})
    gap.ends_clause = gap.ends_clause || between.find(dash) != std::string_view::npos;
  return gap;
}

/// True for the bytes of the marks above, which are no letters.
bool is_mark(std::string_view text, size_t at) {
  return text.substr(at, 2) == "\xE2\x80" || text.substr(at, 2) == "\xC2\xAB" ||
         text.substr(at, 2) == "\xC2\xBB";
}

Tokens tokens_of(std::string_view text) {
  Tokens tokens;
  text = text.substr(0, kBytesMax);
  Gap gap;
  bool after_first = false;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    while (at < text.size() && (!is_word_char(text[at]) || text[at] == '\'' || is_mark(text, at)))
      at += is_mark(text, at) ? (text[at] == '\xE2' ? 3 : 2) : 1;
    at = std::min(at, text.size());
    gap = gap_of(text.substr(from, at - from));
    if (!tokens.empty()) {
      tokens.back().before_payload = gap.opens_payload;
      after_first = after_first || gap.ends_clause;
    }
    if (at == text.size()) break;
    Token token;
    token.starts_clause = tokens.empty() || gap.ends_clause;
    token.after_first = after_first;
    while (at < text.size() && ((is_word_char(text[at]) && !is_mark(text, at)) || is_joint(text, at)))
      token.text.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(text[at++]))));
    token.is_address = looks_like_address(token.text);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

/// Whether any of `names` is among the `count` words from `from`; its index, or the size when not.
size_t find_within(const Tokens& tokens, size_t from, size_t count, Names names) {
  const size_t end = std::min(tokens.size(), from + count);
  for (size_t i = from; i < end; ++i)
    if (is_one_of(tokens[i].text, names)) return i;
  return tokens.size();
}

bool has_within(const Tokens& tokens, size_t from, size_t count, Names names) {
  return find_within(tokens, from, count, names) < tokens.size();
}

/// An order and no part of a question: it begins a clause, or follows what orders begin with.
bool is_order(const Tokens& tokens, size_t at) {
  if (tokens[at].starts_clause) return true;
  size_t i = at;
  while (i > 0 &&
         is_one_of(tokens[i - 1].text,
                   {"and",    "then", "please", "now",        "but",     "instead",   "just", "simply",
                    "always", "only", "must",   "shall",      "should",  "so",        "also", "kindly",
                    "you",    "to",   "first",  "afterwards", "however", "completely"}))
    if (tokens[--i].starts_clause || tokens[i].text == "and" || tokens[i].text == "then") return true;
  return false;
}

bool is_override(const Tokens& tokens, size_t at) {
  if (!is_one_of(tokens[at].text, {"ignore", "disregard", "forget", "override", "bypass", "overrule",
                                   "discard", "skip", "neglect"}))
    return false;
  if (!is_order(tokens, at)) return false;
  if (has_within(tokens, at + 1, 4, {"above", "everything", "preceding", "foregoing"})) return true;
  if (has_within(tokens, at + 1, 1, {"safety", "guidance"})) return true;
  return has_within(tokens, at + 1, 6,
                    {"instructions", "instruction", "prompt", "prompts", "rules", "guidelines", "question",
                     "context", "directions", "constraints", "request", "guidance", "safety", "policy",
                     "policies", "restrictions", "behaviour", "behavior"}) &&
         has_within(tokens, at + 1, 5,
                    {"all", "any", "previous", "prior", "earlier", "your", "the", "my", "that", "this",
                     "these", "those", "system", "original"});
}

constexpr std::array<std::string_view, 20> kSayings = {
    "say",   "answer",  "reply",     "respond", "output",  "print",   "repeat",
    "state", "claim",   "write",     "return",  "tell",    "insist",  "assert",
    "echo",  "pretend", "recommend", "mention", "declare", "conclude"};

bool is_saying(std::string_view word) {
  return std::find(kSayings.begin(), kSayings.end(), word) != kSayings.end();
}

/// "say that ...", "answer with the phrase: ...", "reply only with ...", "tell users to ...".
bool is_dictated(const Tokens& tokens, size_t at) {
  if (!is_saying(tokens[at].text) || !tokens[at].after_first || !is_order(tokens, at)) return false;
  const size_t end = std::min(tokens.size(), at + 8);
  for (size_t i = at; i < end; ++i) {
    if (i > at && tokens[i].starts_clause && !tokens[i - 1].before_payload) break;
    if (tokens[i].before_payload || tokens[i].is_address) return true;
  }
  if (at > 0 && is_one_of(tokens[at - 1].text, {"instead", "just", "only", "simply", "always"})) return true;
  if (is_one_of(tokens[at].text, {"pretend", "claim", "insist", "assert", "declare"}) ||
      (tokens[at].text == "say" && has_within(tokens, at + 1, 1, {"the", "it", "there", "nobody", "no"})) ||
      has_within(tokens, at + 1, 1, {"as"}) ||
      has_within(tokens, at + 1, 3, {"that", "instead", "verbatim", "exactly"}))
    return true;
  return has_within(tokens, at + 1, 2,
                    {"users", "everyone", "everybody", "anyone", "customers", "people", "them"});
}

/// "end your answer with ...", "add the sentence ... to your reply", "let the reader ...".
bool frames_answer(const Tokens& tokens, size_t at) {
  return tokens[at].after_first && is_order(tokens, at) &&
         is_one_of(tokens[at].text,
                   {"add", "append", "insert", "end", "start", "begin", "finish", "conclude", "close", "let",
                    "give", "quote", "make", "put", "include", "write", "use", "take", "treat"}) &&
         has_within(tokens, at + 1, 4,
                    {"answer", "reply", "response", "reader", "users", "sentence", "words"});
}

/// "your answer must be ...", "the correct answer is ...".
bool states_answer(const Tokens& tokens, size_t at) {
  if (at == 0 || at + 1 >= tokens.size() || !tokens[at].after_first) return false;
  if (!is_one_of(tokens[at].text, {"answer", "reply", "response", "output"})) return false;
  if (!is_one_of(tokens[at + 1].text, {"is", "must", "should", "shall", "has", "will", "needs"}))
    return false;
  const Token& before = tokens[at - 1];
  if (before.text == "your")
    return has_within(tokens, at + 1, 5, {"be", "is", "say", "include", "contain", "mention", "read"});
  if (before.text == "the") return before.starts_clause;
  if (before.text == "final") return true;
  return is_one_of(before.text,
                   {"correct", "right", "only", "true", "official", "real", "acceptable", "valid"});
}

bool takes_persona(const Tokens& tokens, size_t at) {
  if (!tokens[at].after_first) return false;
  const auto follows = [&](Names words) {
    size_t i = at;
    for (const std::string_view word : words)
      if (i >= tokens.size() || tokens[i++].text != word) return false;
    return true;
  };
  if (follows({"from", "now", "on"}) || follows({"you", "are", "now"}) || follows({"new", "instructions"}) ||
      follows({"new", "instruction"}) || follows({"new", "task"}) || follows({"end", "of", "question"}) ||
      follows({"act", "as", "if"}) || follows({"developer", "mode"}))
    return true;
  const bool denies = follows({"do", "not"}) || follows({"don't"}) || follows({"never"});
  return denies && tokens[at].starts_clause &&
         has_within(tokens, at + 1, 2, {"mention", "reveal", "follow", "disclose", "say", "tell"});
}

/// "the assistant must say ...", "users should be told ...", "that the answer says ...".
bool addresses_model(const Tokens& tokens, size_t at) {
  if (!tokens[at].after_first || at + 1 >= tokens.size()) return false;
  const bool must = is_one_of(tokens[at + 1].text, {"must", "should", "shall", "has", "needs"});
  if (is_one_of(tokens[at].text, {"assistant", "model", "chatbot", "ai"}))
    return must && std::any_of(tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.end(),
                               [](const Token& token) { return is_saying(token.text); });
  if (is_one_of(tokens[at].text, {"users", "user", "everyone", "everybody", "readers", "reader", "this"}))
    return must && has_within(tokens, at + 2, 3, {"hear", "told", "know", "learn", "sent", "directed"});
  return tokens[at].text == "answer" && tokens[at + 1].text == "says";
}

/// "visit evil.example", "call 555 0100 now".
bool calls_to_action(const Tokens& tokens, size_t at) {
  if (!tokens[at].after_first || !is_order(tokens, at)) return false;
  if (!is_one_of(tokens[at].text, {"visit", "call", "contact", "email", "download", "go", "open", "use",
                                   "send", "name", "pay", "transfer", "install", "buy", "include", "link"}))
    return false;
  const size_t end = std::min(tokens.size(), at + 6);
  return std::any_of(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                     tokens.begin() + static_cast<std::ptrdiff_t>(end),
                     [](const Token& token) { return token.is_address; });
}

/// What chat templates and transcripts mark turns with.
bool has_role_marks(std::string_view text) {
  std::string lower(text.substr(0, kBytesMax));
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view mark :
       {"<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "[inst]", "[/inst]",
        "<<sys>>", "</s>", "<|endoftext|>", "<|eot_id|>", "### instruction", "### system", "### response",
        "[system]", "<system>", "</system>"})
    if (lower.find(mark) != std::string::npos) return true;
  for (const std::string_view role :
       {"system:", "assistant:", "system prompt:", "developer:", "system note:", "system message:",
        "note to the assistant", "note to the ai", "note to ai"}) {
    for (size_t at = lower.find(role); at != std::string::npos; at = lower.find(role, at + 1))
      if (at > 0 && !is_word_char(lower[at - 1]) &&
          lower.find_last_not_of(" [(*#\t", at - 1) != std::string::npos &&
          is_one_of(lower.substr(lower.find_last_not_of(" [(*#\t", at - 1), 1),
                    {".", "?", "!", "\n", "]", ")", "-"}))
        return true;
  }
  return false;
}

std::string joined(const Tokens& tokens, size_t from) {
  std::string out = " ";
  for (size_t i = from; i < tokens.size(); ++i) out += tokens[i].text + " ";
  return out;
}

}  // namespace

const char* injection_in(std::string_view text) {
  if (has_role_marks(text)) return "role_marks";
  const Tokens tokens = tokens_of(text);
  for (size_t at = 0; at < tokens.size(); ++at) {
    if (is_override(tokens, at)) return "override";
    if (is_dictated(tokens, at) || states_answer(tokens, at) || frames_answer(tokens, at)) return "dictated";
    if (addresses_model(tokens, at)) return "dictated";
    if (takes_persona(tokens, at)) return "persona";
    if (calls_to_action(tokens, at)) return "call_to_action";
  }
  return nullptr;
}

bool is_echo(std::string_view query, std::string_view answer) {
  const Tokens said = tokens_of(answer);
  if (said.size() < kEchoWordsMin) return false;
  const Tokens asked = tokens_of(query);
  const auto first =
      std::find_if(asked.begin(), asked.end(), [](const Token& token) { return token.after_first; });
  const auto from = static_cast<size_t>(first - asked.begin());
  const auto wanted =
      std::max(kEchoWordsMin, static_cast<size_t>(kEchoShare * static_cast<double>(said.size()) + 0.5));
  if (asked.size() > kQuestionWordsMax || asked.size() - from < wanted) return false;
  const std::string dictated = joined(asked, from);
  // A run of the answer that the question holds in one piece.
  for (size_t begin = 0; begin + wanted <= said.size(); ++begin) {
    std::string run = " ";
    for (size_t i = begin; i < begin + wanted; ++i) run += said[i].text + " ";
    if (dictated.find(run) != std::string::npos) return true;
  }
  return false;
}

}  // namespace enhanced_gptcache::match
