// Output form: the same question asked as JSON, in French, in one sentence or for a beginner wants
// another text as its answer.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Words that name a form wherever they stand.
constexpr auto kForms = std::to_array<std::string_view>(
    {"json", "xml", "yaml", "csv", "markdown", "html", "latex", "regex", "pdf", "emoji", "haiku", "poem",
     "limerick", "essay", "tldr", "eli5", "bullet", "bullets", "bulleted"});
/// Words that name a form after "as", "in", "a", "one", "by"...: "in one sentence", "as a table".
constexpr auto kUnitsOfText =
    std::to_array<std::string_view>({"sentence", "sentences", "paragraph", "paragraphs", "words", "word",
                                     "table", "list", "summary", "steps"});
constexpr auto kLanguages = std::to_array<std::string_view>(
    {"english",   "french",     "german",     "spanish",   "italian",    "portuguese", "dutch",
     "russian",   "polish",     "turkish",    "arabic",    "hebrew",     "hindi",      "urdu",
     "bengali",   "tamil",      "telugu",     "marathi",   "punjabi",    "chinese",    "mandarin",
     "cantonese", "japanese",   "korean",     "thai",      "vietnamese", "indonesian", "malay",
     "greek",     "latin",      "swedish",    "norwegian", "danish",     "finnish",    "czech",
     "hungarian", "romanian",   "ukrainian",  "persian",   "farsi",      "swahili",    "python",
     "java",      "javascript", "typescript", "c",         "c++",        "c#",         "golang",
     "rust",      "ruby",       "php",        "perl",      "kotlin",     "swift",      "scala",
     "haskell",   "bash",       "sql",        "matlab",    "r",          "julia",      "lua",
     "powershell"});

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool leads_to_form(std::string_view word) {
  return word == "as" || word == "in" || word == "into" || word == "to" || word == "using";
}

/// Something of this form is spoken of anywhere in the text.
bool mentions(const Words& words, std::string_view form) {
  return std::any_of(words.words().begin(), words.words().end(),
                     [&](const Word& word) { return word.text == form || word.stem == form; });
}

bool is_definite(std::string_view word) { return word == "the" || word == "this" || word == "my"; }

/// "in one sentence", "as a table": a lead at most three words before, nothing definite between ("in the
/// list of ..." is a place).
bool is_led_to_form(const Words& words, size_t i) {
  for (size_t back = 1; back <= 3 && back <= i; ++back) {
    const std::string_view lead = words[i - back].text;
    if (is_definite(lead)) return false;
    if (lead == "as" || lead == "in" || lead == "within" || lead == "under") return true;
  }
  return false;
}

/// The forms a text asks for.
std::vector<std::string_view> forms_of(const Words& words) {
  std::vector<std::string_view> forms;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i].text;
    if (is_one_of(word, kForms)) forms.push_back(words[i].stem);
    if (is_one_of(word, kUnitsOfText) && is_led_to_form(words, i)) forms.push_back(words[i].stem);
    // "in French", "into Python": the language of the answer. "to polish" is a verb.
    const std::string_view before = i > 0 ? words[i - 1].text : std::string_view();
    const bool is_verb = word == "polish" && before == "to";
    if (leads_to_form(before) && !is_verb && is_one_of(word, kLanguages)) forms.push_back(word);
  }
  return forms;
}

}  // namespace

void append_form_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const std::string_view form : forms_of(words)) anchors.push_back(fmt::format("form:{}", form));
}

std::string form_refusal(const Words& query, const Words& candidate) {
  for (const std::string_view form : forms_of(query)) {
    if (!mentions(candidate, form)) return fmt::format("\"{}\" only in the query", form);
  }
  for (const std::string_view form : forms_of(candidate)) {
    if (!mentions(query, form)) return fmt::format("\"{}\" only in the candidate", form);
  }
  return {};
}

}  // namespace enhanced_gptcache::match
