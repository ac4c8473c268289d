#include "match/verifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace enhanced_gptcache::match {
namespace {

using Json = nlohmann::json;

/// Two trees on the cosine and one on the pair logit: small enough to work out by hand.
Json artifact() {
  const Json on_cosine = {{"feature", {0, 0}},
                          {"threshold", {0.8, 0.9}},
                          {"left", {-1, -2}},
                          {"right", {1, -3}},
                          {"leaf", {-2.0, 0.5, 3.0}}};
  const Json on_pair = {
      {"feature", {1}}, {"threshold", {0.0}}, {"left", {-1}}, {"right", {-2}}, {"leaf", {-4.0, 4.0}}};
  const Json constant = {{"feature", Json::array()},
                         {"threshold", Json::array()},
                         {"left", Json::array()},
                         {"right", Json::array()},
                         {"leaf", {0.25}}};
  return {
      {"format", "enhanced-gptcache-verifier"},
      {"version", 1},
      {"name", "default"},
      {"features", {"cosine", "pair_logit"}},
      {"cheap",
       {{"trees", {on_cosine, constant}},
        {"calibration_raw", {-2.0, 0.0, 4.0}},
        {"calibration_logit", {-5.0, 0.0, 2.0}}}},
      {"full", {{"trees", {on_cosine, on_pair}}, {"calibration_raw", {0.0}}, {"calibration_logit", {1.5}}}},
      {"grey_zone", {-3.0, 1.0}}};
}

PairFeatures with(float cosine, float pair_logit = 0) {
  PairFeatures features{};
  features[static_cast<size_t>(PairFeature::kCosine)] = cosine;
  features[static_cast<size_t>(PairFeature::kPairLogit)] = pair_logit;
  return features;
}

TEST(Verifier, SumsItsTreesAndInterpolatesTheCalibration) {
  const auto verifier = Verifier::parse(artifact().dump()).value();
  EXPECT_EQ(verifier->name(), "default");
  // Leaf -2 plus 0.25: an eighth of the way from -2 to 0, where the logits go from -5 to 0.
  EXPECT_NEAR(verifier->cheap_logit(with(0.8F)), -5.0 + 5.0 / 8, 1e-6);
  EXPECT_NEAR(verifier->cheap_logit(with(0.85F)), 2.0 * 0.75 / 4, 1e-6);
  EXPECT_NEAR(verifier->cheap_logit(with(0.95F)), 2.0 * 3.25 / 4, 1e-6);
  EXPECT_DOUBLE_EQ(verifier->full_logit(with(0.5F, -1)), 1.5) << "one point: a constant";
  EXPECT_TRUE(verifier->is_grey(-3.0));
  EXPECT_FALSE(verifier->is_grey(1.0));
}

TEST(Verifier, RefusesWhatIsNoArtifact) {
  const auto broken = [](const char* path, Json value) {
    Json json = artifact();
    json[Json::json_pointer(path)] = std::move(value);
    return Verifier::parse(json.dump());
  };
  EXPECT_EQ(broken("/format", "other").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/version", 2).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(broken("/features/0", "astrology").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(broken("/name", 5).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/grey_zone", {2, 1}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/cheap/calibration_logit", {0.0, -5.0, 2.0}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/cheap/calibration_raw", Json::array()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/cheap/trees/0/left/0", 0).error().code, ErrorCode::kCorrupt) << "a loop";
  EXPECT_EQ(broken("/cheap/trees/0/right/1", -9).error().code, ErrorCode::kCorrupt) << "no such leaf";
  EXPECT_EQ(broken("/cheap/trees/0/feature/0", 7).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/cheap/trees/0/threshold", {0.1}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/full", Json()).error().code, ErrorCode::kCorrupt);
}

TEST(Verifier, RefusesEveryTruncation) {
  const std::string whole = artifact().dump();
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(Verifier::parse(std::string_view(whole).substr(0, bytes))) << bytes;
  }
}

TEST(Verifier, OpensAFile) {
  const auto path = std::filesystem::temp_directory_path() / "egptc_verifier_test.json";
  std::ofstream(path) << artifact().dump();
  EXPECT_TRUE(Verifier::open(path.string()));
  std::filesystem::remove(path);
  EXPECT_EQ(Verifier::open(path.string()).error().code, ErrorCode::kNotFound);
}

TEST(PairFeatures, AreSymmetricAndNamed) {
  const Words a("What is the capital of France?");
  const Words b("what's the capital city of Germany");
  EXPECT_EQ(pair_features(a, b, 0.8), pair_features(b, a, 0.8));
  const PairFeatures features = pair_features(a, b, 0.8);
  const auto value = [&](PairFeature feature) { return features[static_cast<size_t>(feature)]; };
  EXPECT_FLOAT_EQ(value(PairFeature::kCosine), 0.8F);
  EXPECT_FLOAT_EQ(value(PairFeature::kContentShared), 1) << "capital";
  EXPECT_FLOAT_EQ(value(PairFeature::kNamesOnlyMin), 1);
  EXPECT_FLOAT_EQ(value(PairFeature::kGuardNames), 1);
  EXPECT_FLOAT_EQ(value(PairFeature::kFirstWordSame), 1);
  for (size_t i = 0; i < kPairFeatureCount; ++i) EXPECT_FALSE(pair_feature_name(i).empty());
}

TEST(PairFeatures, SeeOrderAndSpelling) {
  const PairFeatures swapped =
      pair_features(Words("Did Nixon influence Ford?"), Words("Did Ford influence Nixon?"), 0.95);
  EXPECT_FLOAT_EQ(swapped[static_cast<size_t>(PairFeature::kSameBag)], 1);
  EXPECT_FLOAT_EQ(swapped[static_cast<size_t>(PairFeature::kInversions)], 1);
  const PairFeatures typo = pair_features(Words("restart the printer"), Words("restart the pritner"), 0.9);
  EXPECT_GT(typo[static_cast<size_t>(PairFeature::kNearestSpelling)], 0.8F);
}

TEST(PairFeatures, EmptyTextsHaveNoSurprise) {
  for (const float value : pair_features(Words(""), Words(""), 0)) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace enhanced_gptcache::match
