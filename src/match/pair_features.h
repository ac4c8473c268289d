#pragma once
// What the verifier knows about two questions besides their cosine and the pair encoder's opinion: how
// their words overlap, what stands only in one of them, in which order the rest comes, and what each
// guard says. Symmetric: which text was stored and which was asked does not matter.

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "match/guards.h"
#include "match/words.h"

namespace enhanced_gptcache::match {

/// Index of each feature in PairFeatures; pair_feature_name() spells it as the artifact does.
enum class PairFeature : size_t {
  kCosine,           ///< of the embeddings, -1..1
  kPairLogit,        ///< of the pair encoder; 0 when it was not asked
  kWordsMin,         ///< words of the shorter text
  kWordsRatio,       ///< shorter / longer, 0..1
  kStemJaccard,      ///< of all stems
  kContentJaccard,   ///< of the stems that are no common words
  kContentOnlyMin,   ///< content stems only in one text: the smaller count of both sides
  kContentOnlyMax,   ///< the larger count
  kContentShared,    ///< content stems in both
  kTrigramDice,      ///< of letter trigrams: spelling, inflection
  kCommonPrefix,     ///< share of the shorter text's words before the first difference
  kCommonSuffix,     ///< the same from the end
  kLongestCommon,    ///< longest common subsequence of stems / longer text
  kInversions,       ///< share of pairs of shared content stems that come in another order
  kSameBag,          ///< 1: the same content stems, whatever their order
  kNearestSpelling,  ///< best letter likeness between a stem only here and one only there (a typo), 0..1
  kFirstWordSame,    ///< 1: the same first word
  kLastWordSame,
  kNamesOnlyMin,  ///< names only in one text: the smaller count of both sides
  kNamesOnlyMax,
  kNamesShared,
  kNumbersOnly,  ///< numbers only in one text, both sides together
  kNumbersShared,
  kNegations,     ///< difference of their counts
  kRareOnlyMax,   ///< longest content stem only in one text, in letters
  kGuardNumbers,  ///< 1: the guard refuses; in the order of guards()
  kGuardNegation,
  kGuardAntonym,
  kGuardNames,
  kGuardQuestion,
  kGuardForm,
  kGuardTime,
  kGuardDirection,
  kGuardUnits,
  kGuardIdentifiers,
  kGuardQuantifiers,
  kGuardLongText,
  kGuardWriting,
  kGuardRoles,
  kMargin,  ///< cosine less that of the nearest other entry (0.6 at least): how alone the candidate stands
  // Of two last questions after one history, else 0; fill_history().
  kUnsaidMin,      ///< content stems only in one text that the history lacks: the smaller count of both sides
  kUnsaidMax,      ///< the larger count
  kSaidShare,      ///< of the stems only in one text, how many the history has; 1 when there are none
  kRecentShare,    ///< of them, how many its last two turns have
  kUnsaidNames,    ///< names only in one text that the history lacks
  kUnsaidNumbers,  ///< numbers, likewise
  kPointers,       ///< words such as "he" or "that": those of the terser text less those of the other
  kBothAdd,        ///< 1: each text has content the other lacks
  kCount,
};

inline constexpr size_t kPairFeatureCount = static_cast<size_t>(PairFeature::kCount);
using PairFeatures = std::array<float, kPairFeatureCount>;

/// The name used in verifier artifacts ("content_jaccard").
std::string_view pair_feature_name(size_t feature);

/// Any thread; about ten microseconds. Fills everything but kPairLogit, kMargin and what
/// fill_history() fills, which are left 0. A guard that is off
/// refuses nothing.
PairFeatures pair_features(const Words& a, const Words& b, double cosine, GuardMask off = 0);

/// What a conversation has said before its last question. Thread rule: immutable once made.
class History {
 public:
  /// The texts of its turns, oldest first. Reads the last kBytesMax bytes of them.
  explicit History(std::span<const std::string_view> turns);

  bool holds(std::string_view stem) const;
  bool holds_recently(std::string_view stem) const;
  bool holds_number(std::string_view value) const;

 private:
  static constexpr size_t kBytesMax = size_t{16} << 10U;
  void read(std::string_view turn, bool is_recent);

  // Sorted, without repetitions.
  std::vector<std::string> stems_, recent_, numbers_;
};

/// Adds what the history tells about two last questions that both follow it. A number that only one text
/// names and that the history names too is no refusal of the numbers guard any more: the one question
/// spells out what the other leaves to the conversation.
void fill_history(const Words& a, const Words& b, const History& history, PairFeatures& features);

/// What margin a candidate has over the nearest other one; negative: the other is nearer.
float margin_over(double cosine, double nearest_other);

/// The first guard that refuses, as the features tell.
std::optional<std::string_view> refusing_guard(const PairFeatures& features);

}  // namespace enhanced_gptcache::match
