#include "eval/pairs.h"

#include <nlohmann/json.hpp>

#include "eval/memo_embedder.h"
#include "eval/parallel.h"
#include "eval/report.h"
#include "eval/run_fixture.h"

namespace enhanced_gptcache::eval {
namespace {

class PairsTest : public RunTest {
 protected:
  const std::vector<PairRow> rows_ = {
      pair(kPrinter, kPrinterToo, true, "sql_paraphrase"),     // served, right
      pair(kPrinter, kPrinterElsewhere, false, "sql_number"),  // refused by a guard
      pair(kWhales, kWhalesToo, false, "loose"),               // served, wrong by its label
      pair(kPrinter, kWhales, true, "loose"),                  // a lost hit: no candidate
      pair(kPrinter, kPrinter, true, "edit_gender"),           // exact
  };
};

TEST_F(PairsTest, CountsByKindAndClean) {
  const auto report = run_pairs(*open(static_at(0.65)), rows_, {2, false, 0});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->total.positives, 3U);
  EXPECT_EQ(report->total.hits, 2U);
  EXPECT_EQ(report->total.negatives, 2U);
  EXPECT_EQ(report->total.false_hits, 1U);
  EXPECT_EQ(report->kinds.at("loose").false_hits, 1U);
  EXPECT_EQ(report->kinds.at("sql_number").negatives, 1U);
  EXPECT_EQ(report->clean.positives, 1U) << "edit_gender is not clean";
  EXPECT_EQ(report->clean.negatives, 1U);
  EXPECT_EQ(report->miss_reasons.at("guard:numbers"), 1U);
  EXPECT_EQ(report->lost_reasons.at("no_candidate"), 1U);
  EXPECT_EQ(report->lost_reasons.size(), 1U);
  EXPECT_EQ(report->served.count, 2U) << "an exact hit states nothing about meaning";
  EXPECT_EQ(report->candidates.count, 3U);
  EXPECT_EQ(report->latency_ms.size(), 4U);
}

TEST_F(PairsTest, NothingIsLeftBehindAndPairsDoNotMeet) {
  const auto cache = open(static_at(0.65));
  ASSERT_TRUE(run_pairs(*cache, rows_, {2, true, 5}));
  EXPECT_EQ(cache->stats().entries, 0U);
  // In one namespace the second pair would be answered by the first.
  const auto report =
      run_pairs(*cache, {pair(kPrinter, kWhales, false), pair(kWhales, kPrinter, false)}, {1});
  EXPECT_EQ(report->total.false_hits, 0U);
}

TEST_F(PairsTest, BothOrdersAndThreadsChangeNothingElse) {
  const auto one = run_pairs(*open(static_at(0.65)), rows_, {1, false, 0});
  const auto many = run_pairs(*open(static_at(0.65)), rows_, {8, false, 0});
  const auto both = run_pairs(*open(static_at(0.65)), rows_, {3, true, 0});
  EXPECT_EQ(to_json(one->candidates), to_json(many->candidates));
  EXPECT_EQ(one->auc, many->auc);
  EXPECT_EQ(both->total.positives, 6U);
  EXPECT_EQ(both->total.hits, 4U);
}

TEST_F(PairsTest, ConversationsAreCompared) {
  const std::vector<Turn> here = {{"user", "I am in Vienna today"}, {"assistant", "A fine city."}};
  const std::vector<Turn> there = {{"user", "My dog Rex is ill"}, {"assistant", "I am sorry."}};
  PairRow same{{kPrinter, here}, {kPrinterToo, here}, true, "same"};
  PairRow other{{kPrinter, here}, {kPrinterToo, there}, false, "other"};
  const auto report = run_pairs(*open(static_at(0.65)), {same, other}, {1});
  EXPECT_EQ(report->kinds.at("same").hits, 1U);
  EXPECT_EQ(report->kinds.at("other").false_hits, 0U);
  EXPECT_EQ(report->miss_reasons.at("context"), 1U);
}

TEST_F(PairsTest, ExamplesCarryTheirExplanation) {
  const auto report = run_pairs(*open(static_at(0.65)), rows_, {1, false, 3});
  ASSERT_EQ(report->examples.served_wrong.size(), 1U);
  EXPECT_EQ(report->examples.served_wrong[0].asked, kWhalesToo);
  EXPECT_EQ(report->examples.served_wrong[0].stored, kWhales);
  ASSERT_EQ(report->examples.refused_wrong.size(), 1U);
  const Example& refused = report->examples.refused_wrong[0];
  ASSERT_EQ(refused.explanation.candidates.size(), 1U);
  EXPECT_FALSE(refused.explanation.candidates[0].served);
  EXPECT_TRUE(report->examples.refused_right.empty()) << "no candidate, so nothing to explain";
  const auto json = to_json(*report);
  EXPECT_NE(json["examples"]["refused_wrong"][0]["checks"]["guard:numbers"], "pass");
  const std::string text = to_text(*report);
  EXPECT_NE(text.find("guard:numbers"), std::string::npos);
  EXPECT_NE(text.find(kWhalesToo), std::string::npos);
}

TEST_F(PairsTest, AGuardThatIsOffLetsItsPairsThrough) {
  Options options = static_at(0.65);
  options.guards_off = {"numbers"};
  const auto report = run_pairs(*open(options), rows_, {1});
  EXPECT_EQ(report->kinds.at("sql_number").false_hits, 1U);
}

TEST_F(PairsTest, JsonHasTheNamesOtherToolsKnow) {
  const auto json = to_json(*run_pairs(*open(static_at(0.65)), rows_, {1}));
  EXPECT_EQ(json["kinds"]["loose"]["neg"], 1);
  EXPECT_EQ(json["kinds"]["loose"]["false"], 1);
  EXPECT_EQ(json["clean_false"], 0.0);
  EXPECT_EQ(json["pairs"], 5);
  EXPECT_TRUE(json["auc"].is_number());
  EXPECT_TRUE(json["reliability"]["served"]["expected_calibration_error"].is_number());
  EXPECT_EQ(json["semantic_latency_ms"]["count"], 4);
  EXPECT_FALSE(json.contains("examples"));
}

TEST(CleanKinds, AreThoseWithCertainLabels) {
  EXPECT_TRUE(is_clean("sql_number"));
  EXPECT_TRUE(is_clean("paws_swap"));
  EXPECT_FALSE(is_clean("edit_gender"));
  EXPECT_FALSE(is_clean("qqp_number"));
  EXPECT_FALSE(is_clean(""));
}

TEST(MemoEmbedderTest, EmbedsOnceAndKnowsItsLimit) {
  const auto model = std::make_shared<fakes::FakeEmbedder>();
  const MemoEmbedder memo(model, 2);
  const auto first = memo.embed("one");
  EXPECT_EQ(memo.embed("one")->values, first->values);
  EXPECT_EQ(model->calls(), 1U);
  const std::string_view texts[] = {"one", "two", "three", "three"};
  EXPECT_EQ(memo.embed_batch(texts)->size(), 4U);
  EXPECT_EQ(model->calls(), 4U) << "the third text is beyond the limit and embedded each time";
  model->fail_all(true);
  EXPECT_TRUE(memo.embed("two"));
  EXPECT_FALSE(memo.embed("four"));
  bool called = false;
  memo.embed_async("one", [&](Result<Embedding> got) { called = got.has_value(); });
  EXPECT_TRUE(called);
}

/// Scores a pair by the letters of both texts.
class PairEmbedder final : public Embedder {
 public:
  size_t dimensions() const override { return texts_.dimensions(); }
  size_t window_tokens() const override { return texts_.window_tokens(); }
  std::string_view model_epoch() const override { return texts_.model_epoch(); }
  std::string_view kernel_name() const override { return texts_.kernel_name(); }
  TextStats inspect(std::string_view text) const override { return texts_.inspect(text); }
  Result<Embedding> embed(std::string_view text) const override { return texts_.embed(text); }
  Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const override {
    return texts_.embed_batch(texts);
  }
  void embed_async(std::string text, Callback done) const override { done(embed(text)); }
  bool has_pair_encoder() const override { return true; }
  std::string_view pair_encoder_status() const override { return "fake pairs"; }
  size_t pair_tokens_per_text() const override { return 7; }
  Result<std::vector<float>> pair_scores(std::string_view query,
                                         std::span<const std::string_view> candidates) const override {
    std::vector<float> scores;
    for (const std::string_view candidate : candidates) {
      ++scored_;
      scores.push_back(static_cast<float>(query.size() * 100 + candidate.size()));
    }
    return scores;
  }
  size_t scored() const { return scored_; }

 private:
  const fakes::FakeEmbedder texts_;
  mutable std::atomic<size_t> scored_{0};
};

TEST(MemoEmbedderTest, PairsAreScoredOnceAndInTheirOrder) {
  const auto model = std::make_shared<PairEmbedder>();
  const MemoEmbedder memo(model);
  EXPECT_TRUE(memo.has_pair_encoder());
  EXPECT_EQ(memo.pair_encoder_status(), "fake pairs");
  EXPECT_EQ(memo.pair_tokens_per_text(), 7U);
  const std::string_view first[] = {"b", "ccc"};
  EXPECT_EQ(memo.pair_scores("aa", first).value(), (std::vector<float>{201, 203}));
  const std::string_view second[] = {"ccc", "dddd", "b"};
  EXPECT_EQ(memo.pair_scores("aa", second).value(), (std::vector<float>{203, 204, 201}));
  EXPECT_EQ(model->scored(), 3U);
  const std::string_view cut_elsewhere[] = {"ab"};
  EXPECT_EQ(memo.pair_scores("a", cut_elsewhere).value(), (std::vector<float>{102}));
  EXPECT_EQ(model->scored(), 4U);
}

TEST(ForEachIndex, DoesEachOnceAndStopsAtAnError) {
  std::vector<std::atomic<int>> done(1000);
  ASSERT_TRUE(for_each_index(done.size(), 7, [&](size_t i) -> Result<void> {
    ++done[i];
    return {};
  }));
  for (const auto& count : done) EXPECT_EQ(count, 1);
  std::atomic<size_t> calls{0};
  const auto failed = for_each_index(1'000'000, 3, [&](size_t i) -> Result<void> {
    ++calls;
    if (i == 10) return fail(ErrorCode::kIo, "ten");
    return {};
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "ten");
  EXPECT_LT(calls, 1'000'000U);
  EXPECT_TRUE(for_each_index(0, 3, [](size_t) -> Result<void> { return fail(ErrorCode::kIo, "never"); }));
}

}  // namespace
}  // namespace enhanced_gptcache::eval
