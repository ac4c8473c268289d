#include "match/pair_features.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "match/common_words.h"
#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// Longer texts are compared by their first words only: the sums below grow with the square.
constexpr size_t kWordsMax = 96;
constexpr auto kFirstGuard = static_cast<size_t>(PairFeature::kGuardNumbers);
static_assert(kFirstGuard < kPairFeatureCount);

using Stems = std::vector<std::string_view>;

constexpr std::array<std::string_view, kPairFeatureCount> kNames{
    "cosine",          "pair_logit",      "words_min",         "words_ratio",
    "stem_jaccard",    "content_jaccard", "content_only_min",  "content_only_max",
    "content_shared",  "trigram_dice",    "common_prefix",     "common_suffix",
    "longest_common",  "inversions",      "same_bag",          "nearest_spelling",
    "first_word_same", "last_word_same",  "names_only_min",    "names_only_max",
    "names_shared",    "numbers_only",    "numbers_shared",    "negations",
    "rare_only_max",   "guard_numbers",   "guard_negation",    "guard_antonym",
    "guard_names",     "guard_question",  "guard_form",        "guard_time",
    "guard_direction", "guard_units",     "guard_identifiers", "guard_quantifiers",
    "guard_long_text", "guard_writing",   "guard_roles",       "margin",
    "unsaid_min",      "unsaid_max",      "said_share",        "recent_share",
    "unsaid_names",    "unsaid_numbers",  "pointers",          "both_add"};

float& at(PairFeatures& features, PairFeature feature) { return features[static_cast<size_t>(feature)]; }

/// One text, cut to kWordsMax words.
struct Side {
  Stems stems;
  Stems content;  ///< in order, repetitions kept
  Stems names;
  Stems numbers;
};

Side side_of(const Words& words) {
  Side side;
  const size_t count = std::min(words.size(), kWordsMax);
  for (size_t i = 0; i < count; ++i) {
    const Word& word = words[i];
    side.stems.push_back(word.stem);
    if (is_common_word(word.stem)) continue;
    side.content.push_back(word.stem);
    if (is_name(word) && (word.all_upper || !words.is_title())) side.names.push_back(word.stem);
  }
  for (const Number& number : words.numbers()) {
    if (!number.soft) side.numbers.push_back(number.value);
  }
  return side;
}

bool holds(const Stems& stems, std::string_view stem) {
  return std::find(stems.begin(), stems.end(), stem) != stems.end();
}

/// Sorted and without repetitions.
Stems set_of(Stems stems) {
  std::sort(stems.begin(), stems.end());
  stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
  return stems;
}

struct Overlap {
  size_t shared = 0;
  Stems only_a, only_b;

  float jaccard() const {
    const size_t all = shared + only_a.size() + only_b.size();
    return all == 0 ? 1.0F : static_cast<float>(shared) / static_cast<float>(all);
  }
  float only_min() const { return static_cast<float>(std::min(only_a.size(), only_b.size())); }
  float only_max() const { return static_cast<float>(std::max(only_a.size(), only_b.size())); }
};

Overlap overlap_of(const Stems& a, const Stems& b) {
  Overlap overlap;
  const Stems in_a = set_of(a);
  const Stems in_b = set_of(b);
  std::set_difference(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(), std::back_inserter(overlap.only_a));
  std::set_difference(in_b.begin(), in_b.end(), in_a.begin(), in_a.end(), std::back_inserter(overlap.only_b));
  overlap.shared = in_a.size() - overlap.only_a.size();
  return overlap;
}

std::vector<uint32_t> trigrams_of(const Stems& stems) {
  std::string text = " ";
  for (const std::string_view stem : stems) {
    text += stem;
    text += ' ';
  }
  std::vector<uint32_t> grams;
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    grams.push_back(static_cast<uint32_t>(static_cast<uint8_t>(text[i])) << 16U |
                    static_cast<uint32_t>(static_cast<uint8_t>(text[i + 1])) << 8U |
                    static_cast<uint8_t>(text[i + 2]));
  }
  std::sort(grams.begin(), grams.end());
  return grams;
}

float trigram_dice(const Stems& a, const Stems& b) {
  const std::vector<uint32_t> in_a = trigrams_of(a);
  const std::vector<uint32_t> in_b = trigrams_of(b);
  if (in_a.empty() || in_b.empty()) return 0;
  size_t shared = 0;
  for (size_t i = 0, j = 0; i < in_a.size() && j < in_b.size();) {
    if (in_a[i] == in_b[j]) ++shared;
    const bool forward_a = in_a[i] <= in_b[j];
    const bool forward_b = in_b[j] <= in_a[i];
    if (forward_a) ++i;
    if (forward_b) ++j;
  }
  return 2.0F * static_cast<float>(shared) / static_cast<float>(in_a.size() + in_b.size());
}

/// Length of the longest common subsequence of words, or of letters. `b` has kWordsMax at most.
template <typename Sequence>
size_t longest_common(const Sequence& a, const Sequence& b) {
  std::array<size_t, kWordsMax + 1> row{};
  for (const auto& one : a) {
    size_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = one == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Likeness of two stems by their letters: twice the common subsequence over both lengths.
float spelling(std::string_view a, std::string_view b) {
  constexpr size_t kLetters = 24;
  a = a.substr(0, kLetters);
  b = b.substr(0, kLetters);
  return 2.0F * static_cast<float>(longest_common(a, b)) / static_cast<float>(a.size() + b.size());
}

float nearest_spelling(const Overlap& content) {
  float best = 0;
  for (const std::string_view a : content.only_a) {
    for (const std::string_view b : content.only_b) best = std::max(best, spelling(a, b));
  }
  return best;
}

/// Share of the pairs of shared content stems whose order differs; a stem stands where it first does.
float inversions(const Stems& a, const Stems& b) {
  std::vector<size_t> places;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::find(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(i), a[i]) !=
        a.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    const auto found = std::find(b.begin(), b.end(), a[i]);
    if (found != b.end()) places.push_back(static_cast<size_t>(found - b.begin()));
  }
  size_t turned = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = i + 1; j < places.size(); ++j) turned += places[i] > places[j] ? 1 : 0;
  }
  const size_t pairs = places.size() * (places.size() - 1) / 2;
  return places.size() < 2 ? 0 : static_cast<float>(turned) / static_cast<float>(pairs);
}

size_t letters_max(const Stems& stems) {
  size_t most = 0;
  for (const std::string_view stem : stems) most = std::max(most, stem.size());
  return most;
}

void fill_order(const Side& a, const Side& b, PairFeatures& features) {
  const Stems& x = a.stems.size() <= b.stems.size() ? a.stems : b.stems;
  const Stems& y = a.stems.size() <= b.stems.size() ? b.stems : a.stems;
  const auto shorter = static_cast<float>(std::max<size_t>(x.size(), 1));
  const auto longer = static_cast<float>(std::max<size_t>(y.size(), 1));
  at(features, PairFeature::kWordsMin) = static_cast<float>(x.size());
  at(features, PairFeature::kWordsRatio) = shorter / longer;
  const auto prefix = std::mismatch(x.begin(), x.end(), y.begin()).first - x.begin();
  const auto suffix = std::mismatch(x.rbegin(), x.rend(), y.rbegin()).first - x.rbegin();
  at(features, PairFeature::kCommonPrefix) = static_cast<float>(prefix) / shorter;
  at(features, PairFeature::kCommonSuffix) = static_cast<float>(suffix) / shorter;
  at(features, PairFeature::kLongestCommon) = static_cast<float>(longest_common(x, y)) / longer;
  at(features, PairFeature::kInversions) =
      std::max(inversions(a.content, b.content), inversions(b.content, a.content));
  if (x.empty()) return;
  at(features, PairFeature::kFirstWordSame) = x.front() == y.front() ? 1 : 0;
  at(features, PairFeature::kLastWordSame) = x.back() == y.back() ? 1 : 0;
}

void fill_overlap(const Side& a, const Side& b, PairFeatures& features) {
  const Overlap content = overlap_of(a.content, b.content);
  at(features, PairFeature::kStemJaccard) = overlap_of(a.stems, b.stems).jaccard();
  at(features, PairFeature::kContentJaccard) = content.jaccard();
  at(features, PairFeature::kContentOnlyMin) = content.only_min();
  at(features, PairFeature::kContentOnlyMax) = content.only_max();
  at(features, PairFeature::kContentShared) = static_cast<float>(content.shared);
  at(features, PairFeature::kSameBag) = content.only_max() == 0 ? 1 : 0;
  at(features, PairFeature::kTrigramDice) = trigram_dice(a.stems, b.stems);
  at(features, PairFeature::kNearestSpelling) = nearest_spelling(content);
  at(features, PairFeature::kRareOnlyMax) =
      static_cast<float>(std::max(letters_max(content.only_a), letters_max(content.only_b)));
  const Overlap numbers = overlap_of(a.numbers, b.numbers);
  at(features, PairFeature::kNumbersOnly) = static_cast<float>(numbers.only_a.size() + numbers.only_b.size());
  at(features, PairFeature::kNumbersShared) = static_cast<float>(numbers.shared);
}

/// A name counts as missing only when the other text lacks the word altogether, capitalised or not.
size_t names_missing(const Stems& names, const Stems& other) {
  size_t missing = 0;
  for (const std::string_view name : set_of(names)) missing += holds(other, name) ? 0 : 1;
  return missing;
}

void fill_names(const Side& a, const Side& b, PairFeatures& features) {
  const size_t only_a = names_missing(a.names, b.stems);
  const size_t only_b = names_missing(b.names, a.stems);
  at(features, PairFeature::kNamesOnlyMin) = static_cast<float>(std::min(only_a, only_b));
  at(features, PairFeature::kNamesOnlyMax) = static_cast<float>(std::max(only_a, only_b));
  const size_t shared = std::max(set_of(a.names).size() - only_a, set_of(b.names).size() - only_b);
  at(features, PairFeature::kNamesShared) = static_cast<float>(shared);
}

void fill_guards(const Words& a, const Words& b, GuardMask off, PairFeatures& features) {
  const auto all = guards();
  for (size_t i = 0; i < all.size(); ++i) {
    const bool refuses = !is_guard_off(i, off) && !all[i].refusal(a, b).empty();
    features[kFirstGuard + i] = refuses ? 1.0F : 0.0F;
  }
  const auto negations_a = static_cast<float>(count_negations(a));
  const auto negations_b = static_cast<float>(count_negations(b));
  at(features, PairFeature::kNegations) = std::abs(negations_a - negations_b);
}

}  // namespace

std::optional<std::string_view> refusing_guard(const PairFeatures& features) {
  const auto all = guards();
  for (size_t i = 0; i < all.size(); ++i) {
    if (features[kFirstGuard + i] > 0) return all[i].name;
  }
  return std::nullopt;
}

std::string_view pair_feature_name(size_t feature) { return kNames.at(feature); }

PairFeatures pair_features(const Words& a, const Words& b, double cosine, GuardMask off) {
  PairFeatures features{};
  at(features, PairFeature::kCosine) = static_cast<float>(cosine);
  const Side side_a = side_of(a);
  const Side side_b = side_of(b);
  fill_order(side_a, side_b, features);
  fill_overlap(side_a, side_b, features);
  fill_names(side_a, side_b, features);
  fill_guards(a, b, off, features);
  return features;
}

}  // namespace enhanced_gptcache::match
