#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kStored = "How do I restart the printer in room four?";
constexpr std::string_view kParaphrase = "How can I restart the printer in room four?";

TEST_F(CacheTest, FindsWhatItStoredExactlyAndByMeaning) {
  EXPECT_EQ(ask(prompt(kStored)), "miss: empty");
  const std::string id = put(prompt(kStored), "Press the button.");
  const Lookup exact = look(prompt(kStored));
  ASSERT_NE(exact.entry, nullptr);
  EXPECT_EQ(exact.layer, Layer::kExact);
  EXPECT_EQ(exact.similarity, 1);
  EXPECT_EQ(exact.entry->id(), id);
  EXPECT_EQ(exact.entry->query(), kStored);
  const Lookup semantic = look(prompt(kParaphrase));
  ASSERT_NE(semantic.entry, nullptr);
  EXPECT_EQ(semantic.layer, Layer::kSemantic);
  EXPECT_GT(semantic.similarity, 0.9);
  EXPECT_LT(semantic.similarity, 1.0);
  EXPECT_NE(semantic.embedding, nullptr);
  EXPECT_NE(semantic.request_id, exact.request_id);
}

TEST_F(CacheTest, MissesSayWhyAndWhatWasNearest) {
  const std::string id = put(prompt(kStored), "Press the button.");
  EXPECT_EQ(ask(prompt("Whales eat plankton every day")), "miss: no_candidate");
  EXPECT_FALSE(look(prompt("Whales eat plankton every day")).nearest);

  LookupOptions strict;
  strict.threshold = 0.9999;
  const Lookup below = look(prompt(kParaphrase), strict);
  EXPECT_EQ(below.reason, MissReason::kBelowThreshold);
  EXPECT_EQ(below.threshold, 0.9999);
  ASSERT_TRUE(below.nearest);
  EXPECT_EQ(below.nearest->entry_id, id);

  const Lookup refused = look(prompt("How do I restart the printer in room five?"));
  EXPECT_EQ(refused.reason, MissReason::kGuard);
  EXPECT_FALSE(refused.detail.empty());
  ASSERT_TRUE(refused.nearest);
  EXPECT_EQ(refused.nearest->entry_id, id);
}

TEST_F(CacheTest, AGuardThatIsOffIsNotAsked) {
  put(prompt(kStored), "a");
  const Prompt other = prompt("How do I restart the printer in room five?");
  EXPECT_EQ(ask(other), "miss: guard");
  Options options = options_of_tests();
  options.guards_off = {"numbers"};
  ASSERT_TRUE(cache_->set_options(options));
  EXPECT_EQ(ask(other), "a");
  const Explanation explanation = cache_->explain(other, {}).value();
  ASSERT_EQ(explanation.candidates.size(), 1U);
  EXPECT_TRUE(explanation.candidates[0].served);
  const std::pair<std::string, std::string> off("guard:numbers", "off");
  const auto& checks = explanation.candidates[0].checks;
  EXPECT_NE(std::find(checks.begin(), checks.end(), off), checks.end());
  options.guards_off = {"no such guard"};
  EXPECT_FALSE(cache_->set_options(options));
  EXPECT_EQ(ask(other), "a") << "refused options change nothing";
}

TEST_F(CacheTest, ThresholdOfARequestMayOnlyRaise) {
  put(prompt(kStored), "a");
  LookupOptions loose;
  loose.threshold = 0.01;
  EXPECT_EQ(look(prompt(kParaphrase), loose).threshold, 0.65);
  Options adaptive = options_of_tests();
  adaptive.decision = DecisionPolicy::kAdaptive;
  ASSERT_TRUE(cache_->set_options(adaptive));
  EXPECT_EQ(look(prompt(kParaphrase)).threshold, adaptive.tau.initial_tau);
  adaptive.tau.initial_tau = 0.9;
  reopen(adaptive);
  put(prompt(kStored), "a");
  EXPECT_EQ(look(prompt(kParaphrase)).threshold, 0.9);
}

TEST_F(CacheTest, PartitionsAreWalls) {
  Prompt base = prompt(kStored);
  base.system = "You are terse.";
  put(base, "mine");
  struct Case {
    const char* name;
    void (*change)(Prompt&);
  };
  const Case cases[] = {
      {"tenant", [](Prompt& p) { p.tenant = "other"; }},
      {"namespace", [](Prompt& p) { p.name_space = "other"; }},
      {"model", [](Prompt& p) { p.model = "other"; }},
      {"system", [](Prompt& p) { p.system = "You are verbose."; }},
      {"shape", [](Prompt& p) { p.shape = R"({"max_tokens":5})"; }},
      {"dialect", [](Prompt& p) { p.dialect = "responses"; }},
  };
  for (const Case& c : cases) {
    Prompt changed = base;
    c.change(changed);
    changed.canonical += " ";  // in a real request these fields are part of it
    EXPECT_EQ(ask(changed), "miss: empty") << c.name;
    changed.query = kParaphrase;
    EXPECT_EQ(ask(changed), "miss: empty") << c.name;
  }
  base.query = kParaphrase;
  base.canonical += " ";
  EXPECT_EQ(ask(base), "mine");
}

TEST_F(CacheTest, ExactLayerSeparatesTenantNamespaceModelAndDialect) {
  const Prompt base = prompt(kStored);
  put(base, "mine");
  LookupOptions exact_only;
  exact_only.semantic = false;
  for (const auto field : {&Prompt::tenant, &Prompt::name_space, &Prompt::model, &Prompt::dialect}) {
    Prompt changed = base;
    changed.*field = "other";
    EXPECT_EQ(cache_->find_exact(changed, {}), nullptr);
    EXPECT_EQ(ask(changed, exact_only), "miss: ineligible");
  }
  EXPECT_EQ(look(prompt("something else"), exact_only).detail, "exact_only");
  EXPECT_NE(cache_->find_exact(base, {}), nullptr);
  LookupOptions semantic_only;
  semantic_only.exact = false;
  EXPECT_EQ(look(base, semantic_only).layer, Layer::kSemantic);
}

TEST_F(CacheTest, PersonalPromptsBelongToTheirUser) {
  Prompt mine = prompt("What is my account balance today?");
  mine.user = "anna";
  put(mine, "12");
  Prompt again = prompt("What is my balance account today?");
  again.user = "anna";
  EXPECT_EQ(ask(again), "12");
  again.user = "ben";
  EXPECT_EQ(ask(again), "miss: empty");
  Prompt same = mine;
  same.user = "ben";
  EXPECT_EQ(cache_->find_exact(same, {}), nullptr) << "the very same words ask for something else";
  Prompt general = prompt(kStored);
  general.user = "anna";
  put(general, "button");
  Prompt other = prompt(kParaphrase);
  other.user = "ben";
  EXPECT_EQ(ask(other), "button");
}

TEST_F(CacheTest, UserScopedPromptsNeverMeetInEitherLayer) {
  Prompt mine = prompt(kStored);
  mine.user_scoped = true;
  mine.user = "anna";
  put(mine, "hers");
  EXPECT_EQ(ask(mine), "hers");
  mine.user = "ben";
  EXPECT_EQ(ask(mine), "miss: empty");
  EXPECT_EQ(cache_->find_exact(mine, {}), nullptr);
  EXPECT_EQ(ask(prompt(kStored)), "miss: empty");
}

TEST_F(CacheTest, IneligiblePromptsAreMatchedExactlyOnly) {
  struct Case {
    std::string query;
    std::string reason;
  };
  std::string long_text = "window";
  for (int i = 0; i < 100; ++i) long_text += " word" + std::to_string(i);
  const Case cases[] = {
      {"how do I?", "no_content_word"},      {"?!", "no_content_word"},           {"", "no_content_word"},
      {"Как мне сбросить пароль", "script"}, {"qx qy qz tree", "unknown_tokens"}, {long_text, "truncated"}};
  for (const Case& c : cases) {
    StoreRequest request;
    request.prompt = prompt(c.query);
    request.text = "stored";
    const auto stored = cache_->store(request);
    ASSERT_TRUE(stored);
    EXPECT_FALSE(stored->semantic) << c.query;
    EXPECT_EQ(stored->ineligible, c.reason) << c.query;
    EXPECT_EQ(ask(request.prompt), "stored") << c.query;
    EXPECT_FALSE(cache_->find_exact(request.prompt, {})->semantic());
  }
  put(prompt(kStored), "in the partition");
  for (const Case& c : cases) {
    LookupOptions no_exact;
    no_exact.exact = false;
    const Lookup lookup = look(prompt(c.query), no_exact);
    EXPECT_EQ(lookup.reason, MissReason::kIneligible) << c.query;
    EXPECT_EQ(lookup.detail, c.reason) << c.query;
  }
  Prompt image = prompt(kParaphrase);
  image.ineligible = "image";
  EXPECT_EQ(look(image).detail, "image");
}

TEST_F(CacheTest, WithoutEmbedderOnlyTheExactLayerWorks) {
  cache_ = open_cache(options_of_tests(), nullptr, clock_, false).value();
  put(prompt(kStored), "a");
  EXPECT_EQ(ask(prompt(kStored)), "a");
  EXPECT_EQ(look(prompt(kParaphrase)).detail, "no_embedder");
  EXPECT_TRUE(cache_->explain(prompt(kParaphrase), {}));
}

TEST_F(CacheTest, AFailingEmbedderIsCountedAndCostsOnlyTheSemanticLayer) {
  put(prompt(kStored), "a");
  embedder_->fail_all(true);
  EXPECT_EQ(ask(prompt(kStored)), "a");
  EXPECT_EQ(look(prompt(kParaphrase)).detail, "embedder_failed");
  StoreRequest request;
  request.prompt = prompt("Whales eat plankton every day");
  request.text = "b";
  const auto stored = cache_->store(request);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->ineligible, "embedder_failed");
  EXPECT_EQ(ask(request.prompt), "b");
  EXPECT_EQ(cache_->stats().embed_failures, 2U);
}

TEST_F(CacheTest, AnEmbedderWithoutTimeIsNoBrokenOne) {
  put(prompt(kStored), "a");
  embedder_->fail_all(true, ErrorCode::kOverloaded);
  EXPECT_EQ(ask(prompt(kStored)), "a");
  EXPECT_EQ(ask(prompt(kParaphrase)), "miss: embedder_overloaded");
  StoreRequest request;
  request.prompt = prompt("Whales eat plankton every day");
  request.text = "b";
  const auto stored = cache_->store(request);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->ineligible, "embedder_overloaded");
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.embed_failures, 0U);
  EXPECT_EQ(stats.embed_overloads, 2U);
  EXPECT_EQ(stats.misses_by_reason[static_cast<size_t>(MissReason::kOverloaded)], 1U);
}

TEST_F(CacheTest, NothingIsEmbeddedForAnEmptyPartition) {
  EXPECT_EQ(ask(prompt(kStored)), "miss: empty");
  EXPECT_EQ(embedder_->calls(), 0U);
}

TEST_F(CacheTest, OlderThanTheCallerAcceptsDoesNotCount) {
  put(prompt(kStored), "a");
  clock_.advance_ms(10'000);
  LookupOptions fresh;
  fresh.age_max_ms = 5'000;
  EXPECT_EQ(ask(prompt(kStored), fresh), "miss: no_candidate");
  EXPECT_EQ(cache_->find_exact(prompt(kStored), fresh), nullptr);
  fresh.age_max_ms = 60'000;
  EXPECT_EQ(ask(prompt(kStored), fresh), "a");
  EXPECT_EQ(ask(prompt(kParaphrase), fresh), "a");
}

TEST_F(CacheTest, ShadowModeDecidesAndNeverServes) {
  put(prompt(kStored), "a");
  Options shadow = options_of_tests();
  shadow.mode = CacheMode::kShadow;
  ASSERT_TRUE(cache_->set_options(shadow));
  for (const std::string_view query : {kStored, kParaphrase}) {
    const Lookup lookup = look(prompt(query));
    EXPECT_EQ(lookup.entry, nullptr);
    EXPECT_EQ(lookup.reason, MissReason::kShadow);
    EXPECT_TRUE(lookup.nearest);
  }
  EXPECT_EQ(cache_->find_exact(prompt(kStored), {}), nullptr);
  EXPECT_EQ(cache_->stats().misses_by_reason[static_cast<size_t>(MissReason::kShadow)], 2U);
}

TEST_F(CacheTest, ServePercentSplitsPromptsTheSameWayEveryTime) {
  Options options = options_of_tests();
  options.serve_percent = 30;
  reopen(options);
  put(prompt(kStored), "a");
  size_t served = 0;
  constexpr size_t kPrompts = 400;
  for (size_t i = 0; i < kPrompts; ++i) {
    Prompt variant = prompt(kParaphrase);
    variant.canonical += std::to_string(i);
    const std::string first = ask(variant);
    EXPECT_EQ(ask(variant), first);
    served += first == "a" ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(served), 0.3 * kPrompts, 60);
  EXPECT_EQ(ask(prompt(kStored)), "a");  // the exact layer serves all
}

TEST_F(CacheTest, ProbesLeaveCountersAndRecencyAlone) {
  put(prompt(kStored), "a");
  LookupOptions probe;
  probe.counted = false;
  EXPECT_EQ(ask(prompt(kStored), probe), "a");
  EXPECT_EQ(ask(prompt(kParaphrase), probe), "a");
  EXPECT_EQ(ask(prompt("Whales eat plankton"), probe), "miss: no_candidate");
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.exact_hits + stats.exact_misses + stats.semantic_hits + stats.semantic_misses, 0U);
  EXPECT_EQ(cache_->find_exact(prompt(kStored), probe)->hits(), 0U);
}

TEST_F(CacheTest, CountsAttemptsPerLayer) {
  put(prompt(kStored), "a");
  ask(prompt(kStored));
  ask(prompt(kParaphrase));
  ask(prompt("Whales eat plankton"));
  ask(prompt("how do I?"));
  const CacheStats stats = cache_->stats();
  EXPECT_EQ(stats.exact_hits, 1U);
  EXPECT_EQ(stats.exact_misses, 3U);
  EXPECT_EQ(stats.semantic_hits, 1U);
  EXPECT_EQ(stats.semantic_misses, 2U);
  EXPECT_EQ(stats.misses_by_reason[static_cast<size_t>(MissReason::kNoCandidate)], 1U);
  EXPECT_EQ(stats.misses_by_reason[static_cast<size_t>(MissReason::kIneligible)], 1U);
  EXPECT_EQ(cache_->find_exact(prompt(kStored), {})->hits(), 3U);
}

TEST_F(CacheTest, ABetterRefusedCandidateDoesNotHideAGoodOne) {
  // Many near misses that a guard refuses, more than the first search returns, and one good entry behind
  // them.
  for (int i = 10; i < 40; ++i) put(prompt("restart printer room number " + std::to_string(i)), "wrong");
  put(prompt("restart printer room number 7 quickly"), "right");
  EXPECT_EQ(ask(prompt("restart the printer room number 7")), "right");
}

TEST_F(CacheTest, AsynchronousLookupsAnswerLikeBlockingOnes) {
  put(prompt(kStored), "a");
  std::mutex mutex;
  std::vector<std::string> answers;
  const auto collect = [&](Result<Lookup> lookup) {
    const std::lock_guard lock(mutex);
    answers.push_back(lookup->entry != nullptr ? std::string(lookup->entry->text())
                                               : std::string(to_string(lookup->reason)));
  };
  cache_->lookup_async(prompt(kStored), {}, collect);
  EXPECT_EQ(answers.size(), 1U);  // at once
  cache_->lookup_async(prompt("how do I?"), {}, collect);
  EXPECT_EQ(answers.size(), 2U);
  cache_->lookup_async(prompt(kParaphrase), {}, collect);
  cache_.reset();  // waits for it
  EXPECT_EQ(answers, (std::vector<std::string>{"a", "ineligible", "a"}));
}

}  // namespace
}  // namespace enhanced_gptcache::cache
