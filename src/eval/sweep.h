#pragma once
// The same measurement at many thresholds: what more strictness would cost, and what it would buy. Each
// point is a whole run of the real cache; only the vectors are remembered from run to run.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "eval/metrics.h"
#include "eval/pairs.h"
#include "eval/stream.h"

namespace enhanced_gptcache::eval {

/// Which setting is swept. It follows the policy: what decides there.
enum class Knob {
  kSimilarityThreshold,  ///< static
  kTau,                  ///< adaptive: the tau every user has
  kTargetErrorRate,      ///< policies that hold a probability against it
};
Knob knob_of(const Options& options);
/// "cache.similarity_threshold"...
std::string_view setting_of(Knob knob);
/// The values tried, from lenient to strict.
std::vector<double> values_of(Knob knob);
/// `options` with the knob at `value`.
Options turned(Options options, Knob knob, double value);

/// What happened at one value.
struct CurvePoint {
  double value = 0;
  uint64_t asked = 0;     ///< events, or pairs
  uint64_t possible = 0;  ///< hits there could be
  uint64_t right = 0;     ///< right hits
  uint64_t wrong = 0;     ///< wrong hits
  uint64_t unjudged = 0;
  uint64_t labels = 0;  ///< candidates whose truth is known

  double recall() const { return share(right, possible); }
  /// Of the judged hits.
  double wrong_share() const { return share(wrong, right + wrong); }
  Interval wrong_interval() const { return wilson(wrong, right + wrong); }
  CurvePoint& operator+=(const CurvePoint& other);
};
CurvePoint point_of(const PairReport& report);
CurvePoint point_of(const StreamReport& report);

struct Curve {
  std::string name;
  Knob knob = Knob::kSimilarityThreshold;
  std::vector<CurvePoint> points;
};

/// `embedder` should remember (MemoEmbedder). One run a value.
Result<Curve> sweep_pairs(const Options& options, const std::shared_ptr<const Embedder>& embedder,
                          const std::vector<PairRow>& rows, const PairOptions& how);
Result<Curve> sweep_stream(const Options& options, const std::shared_ptr<const Embedder>& embedder,
                           const std::vector<StreamRow>& rows, const std::vector<size_t>& order);

nlohmann::ordered_json to_json(const Curve& curve);
std::string to_text(const Curve& curve);
/// A picture of the curves: recall against the share of hits that is wrong. Needs nothing outside itself.
std::string to_svg(const std::vector<Curve>& curves, const std::string& title);

}  // namespace enhanced_gptcache::eval
