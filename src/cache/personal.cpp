// Does a prompt speak of its asker? A first-person pronoun says so, unless it only stands in the frame of a
// question that anybody might ask ("how do I...", "can you tell me..."). In doubt it does, and so does what
// the lists cannot read: what is taken for
// personal is only not shared between users. Words are told by lists, without grammar.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "cache/eligibility.h"
#include "cache/readable.h"

namespace enhanced_gptcache::cache {
namespace {

using std::string_view;

template <size_t N>
constexpr bool is_sorted_list(const std::array<string_view, N>& words) {
  return std::is_sorted(words.begin(), words.end());
}
template <size_t N>
bool is_in(const std::array<string_view, N>& words, string_view word) {
  return std::binary_search(words.begin(), words.end(), word);
}

// In the order of bytes, as all lists here. Anywhere: the speaker's own things, or what only the speaker does
// ("ich" and the like have frames below). English, German, French, Spanish, Italian, Portuguese, Dutch; of
// other languages what readable.h may not be in doubt about, because their other words look like English
// ones.
constexpr auto kOwn = std::to_array<string_view>(
    {"abbiamo",  "aku",      "bana",      "benim",    "comprei",    "compr\u00e9", "conmigo", "debo",
     "devo",     "estou",    "estoy",     "eu",       "gan\u00e9",  "heb",         "hemos",   "ho",
     "im",       "ive",      "jag",       "jeg",      "ma",         "mam",         "mein",    "meine",
     "meinem",   "meinen",   "meiner",    "meines",   "mera",       "meri",        "mes",     "meu",
     "meus",     "mi",       "mia",       "mich",     "mie",        "miei",        "mij",     "mijn",
     "mine",     "minha",    "minhas",    "minun",    "mio",        "mir",         "mis",     "mitt",
     "mnie",     "moi",      "moja",      "moje",     "mon",        "mujhe",       "my",      "myself",
     "m\u00eda", "m\u00edo", "nos",       "nosotros", "nossa",      "nosso",       "nostra",  "nostro",
     "notre",    "nous",     "nuestra",   "nuestras", "nuestro",    "nuestros",    "ons",     "onze",
     "our",      "ours",     "ourselves", "paguei",   "pagu\u00e9", "ped\u00ed",   "recebi",  "recib\u00ed",
     "saya",     "tenemos",  "tengo",     "tenho",    "uns",        "unser",       "unsere",  "unserem",
     "unseren",  "unserer",  "wij",       "yo"});
/// Of these only the lower-case form is meant: "Mi", "EU", "MA", "Ho Chi Minh", "Mitt".
constexpr auto kLowerCaseOnly = std::to_array<string_view>(
    {"aku", "bana", "eu", "heb", "ho", "im", "jag", "ma", "mam", "mes", "mi", "mis", "mitt", "mon", "nos"});

constexpr auto kSubjects = std::to_array<string_view>({"i", "ich", "ik", "j", "je", "we", "wir"});
constexpr auto kInterrogatives = std::to_array<string_view>(
    {"comment", "hoe", "how", "o\u00f9", "waar", "was", "wat", "what", "where", "wie", "wo"});
constexpr auto kPossibility =
    std::to_array<string_view>({"can", "could", "darf", "dois", "kan", "kann", "may", "moet", "muss", "must",
                                "peux", "puis", "shall", "should", "soll", "sollte"});
constexpr auto kKnow = std::to_array<string_view>({"find", "know", "learn", "understand"});
constexpr auto kFinding =
    std::to_array<string_view>({"apply", "begin", "buy", "find", "get", "go", "put", "start"});
/// "me" behind them, when they ask for something.
constexpr auto kRequests =
    std::to_array<string_view>({"give", "guide", "help", "show", "teach", "tell", "walk"});
/// "to me" behind them.
constexpr auto kRequestsTo =
    std::to_array<string_view>({"clarify", "describe", "explain", "recommend", "suggest"});
/// Before a request: "please tell me", "and show me".
constexpr auto kRequestOpenings = std::to_array<string_view>(
    {"also", "and", "first", "hello", "hey", "hi", "just", "kindly", "ok", "okay", "please", "then"});
constexpr auto kOffers = std::to_array<string_view>({"can", "could", "will", "would"});
/// A numeral behind them, not a pronoun: "World War I".
constexpr auto kNumbered =
    std::to_array<string_view>({"alexander", "charles", "elizabeth", "francis", "george", "henry", "james",
                                "napoleon", "nicholas", "war", "wilhelm"});
static_assert(is_sorted_list(kLowerCaseOnly) && is_sorted_list(kSubjects) && is_sorted_list(kInterrogatives));
static_assert(is_sorted_list(kPossibility) && is_sorted_list(kKnow) && is_sorted_list(kFinding));
static_assert(is_sorted_list(kRequests) && is_sorted_list(kRequestsTo) && is_sorted_list(kRequestOpenings));
static_assert(is_sorted_list(kOffers) && is_sorted_list(kNumbered));

/// By first letter, the lengths that words of one of these lists have: most words are none of them.
class Filter {
 public:
  template <size_t N>
  constexpr void add(const std::array<string_view, N>& words) {
    for (const string_view word : words) lengths_[place(word[0])] |= bit(word.size());
  }
  constexpr bool may_hold(string_view word) const {
    return word[0] < 0 || (lengths_[place(word[0])] & bit(word.size())) != 0;
  }

 private:
  static constexpr size_t place(char first) { return static_cast<unsigned char>(first) & 31U; }
  static constexpr uint32_t bit(size_t length) { return uint32_t{1} << std::min<size_t>(length, 31); }
  std::array<uint32_t, 32> lengths_{};
};
constexpr Filter kFirst = [] {
  Filter filter;
  filter.add(kOwn);
  filter.add(kSubjects);
  filter.add(std::to_array<string_view>({"me", "us"}));
  return filter;
}();

bool ends_sentence(char c) { return c == '.' || c == '?' || c == '!' || c == ';' || c == ':' || c == '\n'; }

/// A word as read: in lower case, cut to what any listed word has.
struct Token {
  std::array<char, 16> bytes{};
  uint8_t size = 0;
  bool starts = true;  ///< a sentence
  bool is_lower = true;
  bool is_upper = false;  ///< all of its letters
  string_view text() const { return {bytes.data(), size}; }
};

/// The words of a text with three before and four behind the one looked at. Allocates nothing: prompts are
/// long, and this is asked on the way of every hit.
class Window {
 public:
  explicit Window(string_view text) : rest_(text) {
    for (size_t i = kBefore + 1; i < kSize; ++i) tokens_[i] = read();
  }
  /// The next word is looked at; false: there is none.
  bool next() {
    tokens_[first_] = read();
    first_ = (first_ + 1) % kSize;
    return here().size > 0;
  }
  const Token& here() const { return at(kBefore); }
  /// Of the same sentence; empty when there is none.
  string_view before(size_t n = 1) const {
    for (size_t i = 0; i < n; ++i)
      if (at(kBefore - i).starts) return {};
    return at(kBefore - n).text();
  }
  string_view after(size_t n = 1) const {
    for (size_t i = 1; i <= n; ++i)
      if (at(kBefore + i).starts) return {};
    return at(kBefore + n).text();
  }

 private:
  static constexpr size_t kBefore = 3;
  static constexpr size_t kSize = 8;

  const Token& at(size_t i) const { return tokens_[(first_ + i) % kSize]; }

  Token read() {
    Token token;
    size_t at = 0;
    bool starts = is_first_;
    for (; at < rest_.size() && letter_bytes(rest_.substr(at)) == 0; ++at)
      starts = starts || ends_sentence(rest_[at]);
    size_t end = at;
    for (size_t next = 1; end < rest_.size() && next > 0; end += next) {
      next = letter_bytes(rest_.substr(end));
      for (size_t i = 0; i < next; ++i) take(token, rest_[end + i]);
    }
    rest_.remove_prefix(end);
    if (token.size > 0) is_first_ = false;
    token.starts = starts || token.size == 0;
    return token;
  }
  static void take(Token& token, char c) {
    // Of the letters outside ASCII, those of Latin-1 have their capitals 32 before them.
    const bool is_accented = token.size > 0 && token.bytes[token.size - 1] == '\xC3' &&
                             static_cast<unsigned char>(c) >= 0x80 && static_cast<unsigned char>(c) < 0x9F;
    const bool is_capital = is_accented || (c >= 'A' && c <= 'Z');
    token.is_upper = is_capital && (token.size == 0 || token.is_upper);
    token.is_lower = token.is_lower && !is_capital;
    if (token.size < token.bytes.size())
      token.bytes[token.size++] = is_capital ? static_cast<char>(c + 32) : c;
  }

  string_view rest_;
  bool is_first_ = true;
  std::array<Token, kSize> tokens_{};  // a ring
  size_t first_ = 0;
};

/// "how can I", "can I", "where do I find", "do I need to", "what should we".
bool is_asked_in_general(const Window& window) {
  const string_view verb = window.before();
  const string_view asked = window.before(2);
  const bool is_open = asked.empty() || is_in(kInterrogatives, asked) || is_in(kRequestOpenings, asked);
  if (is_in(kPossibility, verb))
    return is_open || (verb == "should" && (asked == "when" || asked == "why" || asked == "which"));
  if (verb == "would") return is_in(kInterrogatives, asked);
  if (verb != "do") return false;
  const string_view next = window.after();
  const bool is_needed = next == "need" || (next == "have" && window.after(2) == "to");
  if (is_needed) return is_open || asked == "why";  // not "what time do I have to", "how much do I need to"
  return asked == "how" || (asked == "what" && next == "do") || (asked == "where" && is_in(kFinding, next));
}

/// "I want to know", "I'd like to learn", "how I can".
bool is_wish_to_know(const Window& window) {
  const string_view next = window.after();
  if (is_in(kInterrogatives, window.before()))
    return next == "can" || next == "could" || next == "should" || next == "peux" || next == "fais";
  if (next == "want" || next == "need") return window.after(2) == "to" && is_in(kKnow, window.after(3));
  return (next == "d" || next == "would") && window.after(2) == "like" && window.after(3) == "to" &&
         is_in(kKnow, window.after(4));
}

bool is_request(const Window& window, size_t verb_at) {
  const string_view opening = window.before(verb_at + 1);
  if (opening.empty() || is_in(kRequestOpenings, opening)) return true;
  return opening == "you" && verb_at == 1 && is_in(kOffers, window.before(3));
}

bool is_generic_object(const Window& window) {
  const string_view verb = window.before();
  if (verb == "let") return window.after() == "know" && is_request(window, 1);
  if (is_in(kRequests, verb)) return is_request(window, 1);
  return verb == "to" && is_in(kRequestsTo, window.before(2)) &&
         (window.before(3).empty() || is_in(kRequestOpenings, window.before(3)) || window.before(3) == "you");
}

bool speaks_of_asker(const Window& window) {
  const Token& here = window.here();
  const string_view word = here.text();
  if (!kFirst.may_hold(word)) return false;
  if (is_in(kOwn, word)) return here.is_lower || here.starts || !is_in(kLowerCaseOnly, word);
  if (word == "us" && (here.is_upper || window.before() == "the" || window.before() == "in")) return false;
  if (word == "me" || word == "us") return !is_generic_object(window);
  if (!is_in(kSubjects, word)) return false;
  if (word == "j") return window.after() == "ai" || window.after() == "avais";
  if (word == "i" && is_in(kNumbered, window.before())) return false;
  return !is_asked_in_general(window) && !is_wish_to_know(window);
}

}  // namespace

bool is_personal(string_view text) {
  static_assert(is_sorted_list(kOwn));
  if (!is_readable(text)) return true;
  Window window(text);
  while (window.next())
    if (speaks_of_asker(window)) return true;
  return false;
}

bool is_personal(const Prompt& prompt) {
  const auto is_own = [](const Turn& turn) { return turn.role == "user" && is_personal(turn.content); };
  return is_personal(prompt.query) || std::any_of(prompt.context.begin(), prompt.context.end(), is_own);
}

}  // namespace enhanced_gptcache::cache
