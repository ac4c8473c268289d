#pragma once
// The verifier: a calibrated probability that two questions ask for the same answer. Gradient-boosted
// tree models (Friedman, 2001; trained by tools/train_verifier.py with LightGBM) over PairFeatures, for each
// kind of pair one that knows the pair encoder's logit and one that does without, each followed by a
// monotone piecewise linear calibration. The artifact is one JSON file beside the pair encoder's weights;
// docs/formats.md.

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"
#include "match/pair_features.h"

namespace enhanced_gptcache::match {

/// Trees as flat arrays. A child >= 0 is a node, else leaf ~child.
class TreeModel {
 public:
  struct Node {
    uint16_t feature = 0;
    float threshold = 0;  ///< <=: left
    int32_t left = 0;
    int32_t right = 0;
  };
  struct Tree {
    std::vector<Node> nodes;  ///< node 0 is the root; empty: one leaf
    std::vector<float> leaves;
  };
  struct Point {
    double raw = 0;
    double logit = 0;
  };

  TreeModel() = default;
  /// `calibration`: raw values rising, logits not falling, one point at least.
  TreeModel(std::vector<Tree> trees, std::vector<Point> calibration);

  /// Calibrated log odds. Features are numbers, never NaN.
  double logit(const PairFeatures& features) const;

 private:
  double calibrated(double raw) const;

  std::vector<Tree> trees_;
  std::vector<Point> calibration_{{0, 0}};
};

/// What is asked about a pair, in the order of cost. Thread rule: immutable once made.
struct VerifierStage {
  TreeModel cheap;  ///< without the pair encoder: kPairLogit is not read
  TreeModel full;   ///< with it: kPairLogit must be filled in
  double grey_from = 0;
  double grey_to = 0;

  /// The pair encoder can change the decision only when the cheap logit is in this zone.
  bool is_grey(double cheap_logit) const { return cheap_logit >= grey_from && cheap_logit < grey_to; }
};

/// Thread rule: immutable once made.
class Verifier {
 public:
  /// kNotFound, kIo: the file, or SHA256SUMS beside it, cannot be read; kCorrupt: it is no artifact, or not
  /// the one that SHA256SUMS lists; kUnsupported: another version, or it wants a feature this program does
  /// not compute.
  static Result<std::shared_ptr<const Verifier>> open(const std::string& path);
  static Result<std::shared_ptr<const Verifier>> parse(std::string_view json);

  /// Of the artifact: "default" or "permissive".
  const std::string& name() const { return name_; }
  /// Of questions that stand alone.
  const VerifierStage& plain() const { return plain_; }
  /// Of last questions after one history, whose features went through fill_history().
  const VerifierStage& conversation() const { return conversation_; }

 private:
  std::string name_;
  VerifierStage plain_;
  VerifierStage conversation_;
};

/// The pair encoder reads two last questions after one history with this before each: it was taught there
/// that a pronoun may stand for a name.
inline constexpr std::string_view kConversationMark = "\u2026 ";

/// 1 / (1 + e^-logit).
double probability_of_logit(double logit);
/// Inverse of it; `probability` strictly between 0 and 1.
double logit_of(double probability);

}  // namespace enhanced_gptcache::match
