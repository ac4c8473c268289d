#pragma once
// The verifier: a calibrated probability that two questions ask for the same answer. Two gradient-boosted
// tree models (Friedman, 2001; trained by tools/train_verifier.py with LightGBM) over PairFeatures, one
// that knows the pair encoder's logit and one that does without, each followed by a monotone piecewise
// linear calibration. The artifact is one JSON file beside the pair encoder's weights; docs/formats.md.

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

/// Thread rule: immutable once made.
class Verifier {
 public:
  /// kNotFound, kIo: the file cannot be read; kCorrupt: it is no artifact; kUnsupported: another version,
  /// or it wants a feature this program does not compute.
  static Result<std::shared_ptr<const Verifier>> open(const std::string& path);
  static Result<std::shared_ptr<const Verifier>> parse(std::string_view json);

  /// Of the artifact: "default" or "permissive".
  const std::string& name() const { return name_; }
  /// Without the pair encoder: kPairLogit is not read.
  double cheap_logit(const PairFeatures& features) const { return cheap_.logit(features); }
  /// With it: kPairLogit must be filled in.
  double full_logit(const PairFeatures& features) const { return full_.logit(features); }
  /// The pair encoder can change the decision only when the cheap logit is in this zone.
  bool is_grey(double cheap_logit) const { return cheap_logit >= grey_from_ && cheap_logit < grey_to_; }

 private:
  std::string name_;
  TreeModel cheap_;
  TreeModel full_;
  double grey_from_ = 0;
  double grey_to_ = 0;
};

/// 1 / (1 + e^-logit).
double probability_of_logit(double logit);
/// Inverse of it; `probability` strictly between 0 and 1.
double logit_of(double probability);

}  // namespace enhanced_gptcache::match
