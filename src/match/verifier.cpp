#include "match/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/checksum_file.h"

namespace enhanced_gptcache::match {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kFormat = "enhanced-gptcache-verifier";
constexpr int kVersion = 2;
constexpr size_t kFileBytesMax = size_t{16} << 20U;
constexpr size_t kTreesMax = 2'000;
constexpr size_t kNodesMax = 4'096;
constexpr size_t kPointsMax = 1'024;

tl::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("verifier artifact: {}", what));
}

/// A JSON array of finite numbers, at most `most`; nullopt: it is something else.
std::optional<std::vector<double>> numbers_at(const Json& object, const char* key, size_t most) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array() || found->size() > most) return std::nullopt;
  std::vector<double> numbers;
  for (const Json& item : *found) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) return std::nullopt;
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

/// Every child leads forward to a node or to a leaf that exists, so that walking ends.
bool leads_forward(const TreeModel::Tree& tree) {
  const auto nodes = static_cast<int64_t>(tree.nodes.size());
  const auto leaves = static_cast<int64_t>(tree.leaves.size());
  for (int64_t at = 0; at < nodes; ++at) {
    for (const int64_t child : {int64_t{tree.nodes[static_cast<size_t>(at)].left},
                                int64_t{tree.nodes[static_cast<size_t>(at)].right}}) {
      if (child >= 0 ? child <= at || child >= nodes : ~child >= leaves) return false;
    }
  }
  return true;
}

std::optional<TreeModel::Tree> tree_of(const Json& json, const std::vector<uint16_t>& features) {
  if (!json.is_object()) return std::nullopt;
  const auto feature = numbers_at(json, "feature", kNodesMax);
  const auto threshold = numbers_at(json, "threshold", kNodesMax);
  const auto left = numbers_at(json, "left", kNodesMax);
  const auto right = numbers_at(json, "right", kNodesMax);
  const auto leaves = numbers_at(json, "leaf", kNodesMax + 1);
  if (!feature || !threshold || !left || !right || !leaves || leaves->empty()) return std::nullopt;
  const size_t nodes = feature->size();
  if (threshold->size() != nodes || left->size() != nodes || right->size() != nodes) return std::nullopt;
  const auto is_index = [](double value) { return value == std::floor(value) && std::abs(value) <= 1e6; };
  TreeModel::Tree tree;
  for (size_t i = 0; i < nodes; ++i) {
    if (!is_index((*left)[i]) || !is_index((*right)[i]) || !is_index((*feature)[i])) return std::nullopt;
    if ((*feature)[i] < 0 || (*feature)[i] >= static_cast<double>(features.size())) return std::nullopt;
    tree.nodes.push_back({features[static_cast<size_t>((*feature)[i])], static_cast<float>((*threshold)[i]),
                          static_cast<int32_t>((*left)[i]), static_cast<int32_t>((*right)[i])});
  }
  for (const double leaf : *leaves) tree.leaves.push_back(static_cast<float>(leaf));
  if (!leads_forward(tree)) return std::nullopt;
  return tree;
}

Result<TreeModel> model_at(const Json& artifact, const char* key, const std::vector<uint16_t>& features) {
  const auto found = artifact.find(key);
  if (found == artifact.end() || !found->is_object()) return corrupt(fmt::format("\"{}\" is missing", key));
  const auto trees_json = found->find("trees");
  if (trees_json == found->end() || !trees_json->is_array() || trees_json->size() > kTreesMax)
    return corrupt(fmt::format("\"{}.trees\" must be a list of at most {}", key, kTreesMax));
  std::vector<TreeModel::Tree> trees;
  for (const Json& json : *trees_json) {
    std::optional<TreeModel::Tree> tree = tree_of(json, features);
    if (!tree) return corrupt(fmt::format("tree {} of \"{}\" is malformed", trees.size(), key));
    trees.push_back(std::move(*tree));
  }
  const auto raw = numbers_at(*found, "calibration_raw", kPointsMax);
  const auto logit = numbers_at(*found, "calibration_logit", kPointsMax);
  const bool is_shaped = raw && logit && !raw->empty() && raw->size() == logit->size() &&
                         std::is_sorted(raw->begin(), raw->end()) &&
                         std::is_sorted(logit->begin(), logit->end());
  if (!is_shaped) return corrupt(fmt::format("the calibration of \"{}\" must rise", key));
  std::vector<TreeModel::Point> points;
  for (size_t i = 0; i < raw->size(); ++i) points.push_back({(*raw)[i], (*logit)[i]});
  return TreeModel(std::move(trees), std::move(points));
}

Result<VerifierStage> stage_at(const Json& artifact, const char* key, const std::vector<uint16_t>& features) {
  const auto found = artifact.find(key);
  if (found == artifact.end() || !found->is_object()) return corrupt(fmt::format("\"{}\" is missing", key));
  VerifierStage stage;
  EGPTC_TRY(stage.cheap, model_at(*found, "cheap", features));
  EGPTC_TRY(stage.full, model_at(*found, "full", features));
  const auto grey = numbers_at(*found, "grey_zone", 2);
  if (!grey || grey->size() != 2 || (*grey)[0] > (*grey)[1])
    return corrupt(fmt::format("\"{}.grey_zone\" must be [from, to]", key));
  stage.grey_from = (*grey)[0];
  stage.grey_to = (*grey)[1];
  return stage;
}

Result<std::vector<uint16_t>> features_of(const Json& artifact) {
  const auto found = artifact.find("features");
  if (found == artifact.end() || !found->is_array()) return corrupt("\"features\" is missing");
  std::vector<uint16_t> features;
  for (const Json& name : *found) {
    size_t index = 0;
    while (index < kPairFeatureCount &&
           !(name.is_string() && name.get_ref<const std::string&>() == pair_feature_name(index)))
      ++index;
    if (index == kPairFeatureCount)
      return fail(
          ErrorCode::kUnsupported,
          fmt::format("verifier artifact: this program does not compute the feature {}", name.dump()));
    features.push_back(static_cast<uint16_t>(index));
  }
  return features;
}

}  // namespace

TreeModel::TreeModel(std::vector<Tree> trees, std::vector<Point> calibration)
    : trees_(std::move(trees)), calibration_(std::move(calibration)) {}

double TreeModel::logit(const PairFeatures& features) const {
  double sum = 0;
  for (const Tree& tree : trees_) {
    int32_t at = tree.nodes.empty() ? -1 : 0;
    while (at >= 0) {
      const Node& node = tree.nodes[static_cast<size_t>(at)];
      at = features[node.feature] <= node.threshold ? node.left : node.right;
    }
    sum += static_cast<double>(tree.leaves[static_cast<size_t>(~at)]);
  }
  return calibrated(sum);
}

double TreeModel::calibrated(double raw) const {
  const auto above = std::lower_bound(calibration_.begin(), calibration_.end(), raw,
                                      [](const Point& point, double value) { return point.raw < value; });
  if (above == calibration_.end()) return calibration_.back().logit;
  if (above == calibration_.begin() || above->raw == raw) return above->logit;
  const Point& below = *(above - 1);
  const double share = (raw - below.raw) / (above->raw - below.raw);
  return below.logit + share * (above->logit - below.logit);
}

Result<std::shared_ptr<const Verifier>> Verifier::parse(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return corrupt("not JSON, or cut short");
  if (json.value("format", Json()) != kFormat) return corrupt("\"format\" is not enhanced-gptcache-verifier");
  if (json.value("version", Json()) != kVersion)
    return fail(ErrorCode::kUnsupported, fmt::format("verifier artifact: version {} is not {}",
                                                     json.value("version", Json()).dump(), kVersion));
  const auto features = features_of(json);
  if (!features) return tl::unexpected(features.error());
  auto made = std::make_shared<Verifier>();
  auto plain = stage_at(json, "plain", *features);
  if (!plain) return tl::unexpected(plain.error());
  auto conversation = stage_at(json, "conversation", *features);
  if (!conversation) return tl::unexpected(conversation.error());
  if (!json.contains("name") || !json["name"].is_string()) return corrupt("\"name\" is missing");
  made->name_ = json["name"].get<std::string>();
  made->plain_ = std::move(*plain);
  made->conversation_ = std::move(*conversation);
  return std::shared_ptr<const Verifier>(std::move(made));
}

Result<std::shared_ptr<const Verifier>> Verifier::open(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kNotFound, fmt::format("verifier artifact {} cannot be opened", path));
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return fail(ErrorCode::kIo, fmt::format("verifier artifact {} cannot be read", path));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kFileBytesMax)
    return corrupt(fmt::format("{} is larger than {} bytes", path, kFileBytesMax));
  EGPTC_TRY_VOID(base::check_listed_sha256(path, text));
  return parse(text);
}

double probability_of_logit(double logit) { return 1.0 / (1.0 + std::exp(-logit)); }

double logit_of(double probability) { return std::log(probability / (1.0 - probability)); }

}  // namespace enhanced_gptcache::match
