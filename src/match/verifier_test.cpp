#include "match/verifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/sha256.h"

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
  const Json stage = {
      {"cheap",
       {{"trees", {on_cosine, constant}},
        {"calibration_raw", {-2.0, 0.0, 4.0}},
        {"calibration_logit", {-5.0, 0.0, 2.0}}}},
      {"full", {{"trees", {on_cosine, on_pair}}, {"calibration_raw", {0.0}}, {"calibration_logit", {1.5}}}},
      {"grey_zone", {-3.0, 1.0}}};
  Json conversation = stage;
  conversation["grey_zone"] = {-9.0, 9.0};
  return {{"format", "enhanced-gptcache-verifier"}, {"version", 2},   {"name", "default"},
          {"features", {"cosine", "pair_logit"}},   {"plain", stage}, {"conversation", conversation}};
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
  EXPECT_NEAR(verifier->plain().cheap.logit(with(0.8F)), -5.0 + 5.0 / 8, 1e-6);
  EXPECT_NEAR(verifier->plain().cheap.logit(with(0.85F)), 2.0 * 0.75 / 4, 1e-6);
  EXPECT_NEAR(verifier->plain().cheap.logit(with(0.95F)), 2.0 * 3.25 / 4, 1e-6);
  EXPECT_DOUBLE_EQ(verifier->plain().full.logit(with(0.5F, -1)), 1.5) << "one point: a constant";
  EXPECT_TRUE(verifier->plain().is_grey(-3.0));
  EXPECT_FALSE(verifier->plain().is_grey(1.0));
  EXPECT_TRUE(verifier->conversation().is_grey(1.0)) << "its own zone";
}

TEST(Verifier, RefusesWhatIsNoArtifact) {
  const auto broken = [](const char* path, Json value) {
    Json json = artifact();
    json[Json::json_pointer(path)] = std::move(value);
    return Verifier::parse(json.dump());
  };
  EXPECT_EQ(broken("/format", "other").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/version", 1).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(broken("/features/0", "astrology").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(broken("/name", 5).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/plain/grey_zone", {2, 1}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/plain/cheap/calibration_logit", {0.0, -5.0, 2.0}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/plain/cheap/calibration_raw", Json::array()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/plain/cheap/trees/0/left/0", 0).error().code, ErrorCode::kCorrupt) << "a loop";
  EXPECT_EQ(broken("/plain/cheap/trees/0/right/1", -9).error().code, ErrorCode::kCorrupt) << "no such leaf";
  EXPECT_EQ(broken("/plain/cheap/trees/0/feature/0", 7).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/plain/cheap/trees/0/threshold", {0.1}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/conversation/full", Json()).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(broken("/conversation", 3).error().code, ErrorCode::kCorrupt);
}

TEST(Verifier, RefusesEveryTruncation) {
  const std::string whole = artifact().dump();
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(Verifier::parse(std::string_view(whole).substr(0, bytes))) << bytes;
  }
}

TEST(Verifier, OpensAFileThatIsListedWithItsSum) {
  const auto folder = std::filesystem::temp_directory_path() / "egptc_verifier_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "decision.json").string();
  const std::string whole = artifact().dump();
  const auto write = [](const std::filesystem::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  };
  write(path, whole);
  EXPECT_EQ(Verifier::open(path).error().code, ErrorCode::kNotFound) << "no list";
  write(folder / "SHA256SUMS", base::to_hex(base::sha256(whole)) + "  decision.json\n");
  EXPECT_TRUE(Verifier::open(path));
  for (size_t at = 0; at < whole.size(); at += 31) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    write(path, flipped);
    ASSERT_EQ(Verifier::open(path).error().code, ErrorCode::kCorrupt) << at;
  }
  std::filesystem::remove(path);
  EXPECT_EQ(Verifier::open(path).error().code, ErrorCode::kNotFound);
  std::filesystem::remove_all(folder);
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

/// The features of two last questions after these turns.
PairFeatures after(std::vector<std::string_view> turns, std::string_view a, std::string_view b) {
  const Words one(a);
  const Words other(b);
  PairFeatures features = pair_features(one, other, 0.7);
  fill_history(one, other, History(turns), features);
  return features;
}

float value(const PairFeatures& features, PairFeature feature) {
  return features[static_cast<size_t>(feature)];
}

TEST(History, KnowsWhatWasSaid) {
  const std::vector<std::string_view> turns{"Tell me about Muhammad Ali.", "He boxed until 1981."};
  const PairFeatures same = after(turns, "Did he win?", "Did Muhammad Ali win?");
  EXPECT_FLOAT_EQ(value(same, PairFeature::kUnsaidMax), 0);
  EXPECT_FLOAT_EQ(value(same, PairFeature::kSaidShare), 1);
  EXPECT_FLOAT_EQ(value(same, PairFeature::kPointers), 1);
  const PairFeatures other = after(turns, "Did he win?", "Did Joe Frazier win?");
  EXPECT_FLOAT_EQ(value(other, PairFeature::kUnsaidMax), 2);
  EXPECT_FLOAT_EQ(value(other, PairFeature::kUnsaidNames), 2);
  EXPECT_FLOAT_EQ(value(other, PairFeature::kSaidShare), 0);
}

TEST(History, IsSymmetric) {
  const std::vector<std::string_view> turns{"Which albums are there?", "Blue of 1971 and Hejira of 1976."};
  EXPECT_EQ(after(turns, "Who produced it?", "Who produced Hejira in 1976?"),
            after(turns, "Who produced Hejira in 1976?", "Who produced it?"));
}

TEST(History, ExcusesANumberOnlyWhenItWasSaidAndTheOtherSideNamesNone) {
  const std::vector<std::string_view> turns{"Where is parking?", "At 270 Main and at 15 Oak."};
  const auto refuses = [&](std::string_view a, std::string_view b) {
    return value(after(turns, a, b), PairFeature::kGuardNumbers) > 0;
  };
  EXPECT_FALSE(refuses("drive me there", "drive me to 270 Main"));
  EXPECT_TRUE(refuses("drive me there", "drive me to 271 Main")) << "never said";
  EXPECT_TRUE(refuses("drive me to 15 Oak", "drive me to 270 Main")) << "both said, but not the same";
}

TEST(History, ReadsTheEndOfALongConversation) {
  const std::string early = "zebra " + std::string(100'000, 'x');
  const std::vector<std::string_view> turns{early, "giraffe"};
  EXPECT_TRUE(History(turns).holds("giraff") || History(turns).holds("giraffe"));
  EXPECT_TRUE(History({}).holds("zebra") == false);
  EXPECT_TRUE(History(turns).holds_recently("zebra")) << "of a turn, its beginning";
}

TEST(PairFeatures, AMarginHasAFloor) {
  EXPECT_FLOAT_EQ(margin_over(0.9, 0.7), 0.2F);
  EXPECT_FLOAT_EQ(margin_over(0.9, 0.95), -0.05F);
  EXPECT_FLOAT_EQ(margin_over(0.9, 0), 0.3F) << "nothing else is near";
}

TEST(PairFeatures, EmptyTextsHaveNoSurprise) {
  for (const float value : pair_features(Words(""), Words(""), 0)) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace enhanced_gptcache::match
