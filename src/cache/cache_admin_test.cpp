#include <gmock/gmock.h>

#include "cache/cache_fixture.h"

namespace enhanced_gptcache::cache {
namespace {

class CacheAdminTest : public CacheTest {
 protected:
  std::string put_in(std::string_view tenant, std::string_view name_space, std::string_view query,
                     std::vector<std::string> tags = {}, std::string_view subject = {}) {
    StoreRequest request;
    request.prompt = make_prompt(query, {}, name_space);
    request.prompt.tenant = tenant;
    request.text = "answer";
    request.tags = std::move(tags);
    request.subject = subject;
    return put(request);
  }
  std::vector<std::string> ids(const Filter& filter, size_t limit = 100, std::string_view cursor = {}) {
    std::vector<std::string> out;
    for (const EntryPtr& entry : cache_->list(filter, limit, cursor)) out.emplace_back(entry->id());
    return out;
  }
};

TEST_F(CacheAdminTest, ListsNewestFirstPageByPage) {
  std::vector<std::string> stored;
  for (int i = 0; i < 7; ++i)
    stored.push_back(put_in("t", i % 2 == 0 ? "even" : "odd", "printer " + std::to_string(i)));
  std::reverse(stored.begin(), stored.end());
  put_in("other", "even", "printer 0");
  EXPECT_EQ(ids({.tenant = "t"}), stored);
  std::vector<std::string> paged;
  std::string cursor;
  for (auto page = ids({.tenant = "t"}, 3); !page.empty(); page = ids({.tenant = "t"}, 3, cursor)) {
    paged.insert(paged.end(), page.begin(), page.end());
    cursor = page.back();
  }
  EXPECT_EQ(paged, stored);
  EXPECT_EQ(ids({.tenant = "t", .name_space = "odd"}).size(), 3U);
  EXPECT_EQ(ids({.tenant = "t", .name_space = "odd"}, 1, stored[1]), (std::vector<std::string>{stored[3]}));
  EXPECT_TRUE(ids({.tenant = "t", .name_space = "none"}).empty());
  EXPECT_TRUE(ids({.tenant = "t"}, 3, "nonsense").empty());
  EXPECT_TRUE(ids({.tenant = "t", .name_space = "even"}, 3, stored[1]).empty());
  EXPECT_TRUE(ids({.tenant = "nobody"}).empty());
}

TEST_F(CacheAdminTest, FiltersByEveryField) {
  const std::string a = put_in("t", "n", "red printer", {"x", "y"}, "anna");
  const std::string b = put_in("t", "n", "blue whale", {"y"}, "ben");
  StoreRequest request;
  request.prompt = make_prompt("blue printer", {}, "n", "m2");
  request.prompt.tenant = "t";
  const std::string c = put(request);
  using Ids = std::vector<std::string>;
  EXPECT_EQ(ids({.tenant = "t", .model = "m2"}), Ids{c});
  EXPECT_EQ(ids({.tenant = "t", .subject = "anna"}), Ids{a});
  EXPECT_EQ(ids({.tenant = "t", .tags = {"x", "z"}}), Ids{a});
  EXPECT_EQ(ids({.tenant = "t", .tags = {"y"}}), (Ids{b, a}));
  EXPECT_EQ(ids({.tenant = "t", .query_contains = "blue"}), (Ids{c, b}));
  EXPECT_EQ(ids({.tenant = "t", .created_before_ms = cache_->get("t", b)->created_ms()}), Ids{a});
}

TEST_F(CacheAdminTest, EntriesAreSeenByTheirTenantOnly) {
  const std::string id = put_in("t", "n", "red printer");
  EXPECT_NE(cache_->get("t", id), nullptr);
  EXPECT_EQ(cache_->get("other", id), nullptr);
  EXPECT_FALSE(cache_->remove("other", id));
  EXPECT_EQ(cache_->get("t", "xyz"), nullptr);
  EXPECT_TRUE(cache_->remove("t", id));
  EXPECT_FALSE(cache_->remove("t", id));
  EXPECT_EQ(cache_->stats().removals, 1U);
  EXPECT_EQ(cache_->stats().entries, 0U);
  EXPECT_EQ(cache_->stats().partitions, 0U);
}

TEST_F(CacheAdminTest, InvalidatesWhatMatchesOrOnlyCounts) {
  for (int i = 0; i < 10; ++i) put_in("t", "n", "printer " + std::to_string(i), {i < 4 ? "old" : "new"});
  put_in("other", "n", "printer 1", {"old"});
  EXPECT_EQ(cache_->invalidate({.tenant = "t", .tags = {"old"}}, true), 4U);
  EXPECT_EQ(cache_->stats().entries, 11U);
  EXPECT_EQ(cache_->invalidate({.tenant = "t", .tags = {"old"}}, false), 4U);
  EXPECT_EQ(cache_->invalidate({.tenant = "t", .tags = {"old"}}, false), 0U);
  EXPECT_EQ(cache_->stats().entries, 7U);
  EXPECT_EQ(cache_->list({.tenant = "other"}, 10, "").size(), 1U);
}

TEST_F(CacheAdminTest, FlushesOneNamespaceOrTheTenant) {
  for (int i = 0; i < 100; ++i) put_in("t", i % 2 == 0 ? "a" : "b", "printer " + std::to_string(i));
  put_in("other", "a", "printer 1");
  EXPECT_EQ(cache_->flush("t", "a"), 50U);
  Prompt asked = make_prompt("printer 2", {}, "a");
  asked.tenant = "t";
  EXPECT_EQ(ask(asked), "miss: empty");
  asked = make_prompt("printer 1", {}, "b");
  asked.tenant = "t";
  EXPECT_EQ(ask(asked), "answer");
  EXPECT_EQ(cache_->flush("t", std::nullopt), 50U);
  EXPECT_EQ(cache_->flush("t", std::nullopt), 0U);
  EXPECT_EQ(cache_->flush("nobody", "a"), 0U);
  EXPECT_EQ(cache_->stats().entries, 1U);
  EXPECT_EQ(cache_->stats().partitions, 1U);
}

TEST_F(CacheAdminTest, BulkRemovalKeepsTheRestSearchable) {
  for (int i = 0; i < 60; ++i) {
    put_in("t", "n", "topic" + std::to_string(i) + " printer handbook", {i == 17 ? "keep" : "drop"});
  }
  EXPECT_EQ(cache_->invalidate({.tenant = "t", .tags = {"drop"}}, false), 59U);
  Prompt asked = make_prompt("topic17 printer handbook please", {}, "n");
  asked.tenant = "t";
  EXPECT_EQ(ask(asked), "answer");
  EXPECT_EQ(cache_->stats().semantic_entries, 1U);
}

TEST_F(CacheAdminTest, TooManyPartitionsLoseTheLeastRecentlyUsed) {
  Options options = options_of_tests();
  options.partitions_max = 3;
  reopen(options);
  const auto in_system = [](std::string_view system) {
    Prompt made = make_prompt("restart the printer");
    made.system = system;
    made.canonical += system;
    return made;
  };
  for (const char* system : {"a", "b", "c"}) put(in_system(system), system);
  EXPECT_EQ(ask(in_system("a")), "a");
  Prompt near = in_system("a");
  near.canonical += "x";
  EXPECT_EQ(ask(near), "a");  // partition a is used again
  put(in_system("d"), "d");
  EXPECT_EQ(cache_->stats().partitions, 3U);
  EXPECT_EQ(ask(in_system("b")), "miss: empty");
  EXPECT_EQ(ask(in_system("a")), "a");
  EXPECT_EQ(cache_->stats().evictions_size, 1U);
}

// An answer that was asked for before something was taken out must not put it back.
TEST_F(CacheAdminTest, WhatIsOutOfDateIsNotStored) {
  StoreRequest request;
  request.prompt = make_prompt("restart the printer", {}, "n");
  request.prompt.tenant = "t";
  request.text = "answer";
  const auto stored_after = [&](const std::function<void()>& meanwhile) {
    request.generation = cache_->generation();
    meanwhile();
    return cache_->store(request).has_value();
  };
  std::string id;
  const auto place = [&] { id = put_in("t", "n", "restart the printer"); };
  EXPECT_TRUE(stored_after([] {}));
  EXPECT_TRUE(stored_after([&] { cache_->flush("other", std::nullopt); }));
  EXPECT_TRUE(stored_after([&] { cache_->flush("t", "other"); }));
  EXPECT_FALSE(stored_after([&] { cache_->flush("t", std::nullopt); }));
  EXPECT_FALSE(stored_after([&] { cache_->flush("t", "n"); }));
  EXPECT_EQ(cache_->stats().entries, 0U);
  EXPECT_TRUE(stored_after([&] { cache_->invalidate({.tenant = "t"}, true); }));
  EXPECT_FALSE(stored_after([&] { cache_->invalidate({.tenant = "t", .tags = {"x"}}, false); }));
  place();
  EXPECT_FALSE(stored_after([&] { EXPECT_TRUE(cache_->remove("t", id)); }));
  place();
  EXPECT_FALSE(stored_after(
      [&] { EXPECT_TRUE(cache_->feedback({.tenant = "t", .entry_id = id, .correct = false})); }));
  place();
  EXPECT_TRUE(stored_after([&] { EXPECT_TRUE(cache_->feedback({.tenant = "t", .entry_id = id})); }));
  request.generation.reset();
  cache_->flush("t", std::nullopt);
  EXPECT_TRUE(cache_->store(request)) << "whoever does not say when is not held back";
}

TEST_F(CacheAdminTest, AFlushDuringAComputationWins) {
  const Prompt asked = make_prompt("restart the printer");
  const auto answer = cache_->get_or_compute(asked, [&]() -> Result<std::string> {
    cache_->flush("local", std::nullopt);
    return std::string("answer");
  });
  EXPECT_EQ(*answer, "answer");
  EXPECT_EQ(cache_->stats().entries, 0U);
}

TEST_F(CacheAdminTest, EvictionTakesTheLeastRecentlyUsed) {
  Options options = options_of_tests();
  reopen(options);
  for (int i = 0; i < 100; ++i) put_in("t", "n", "printer " + std::to_string(i));
  for (int i = 0; i < 100; i += 2) {
    Prompt used = make_prompt("printer " + std::to_string(i), {}, "n");
    used.tenant = "t";
    EXPECT_EQ(ask(used), "answer");
  }
  options.bytes_max = cache_->stats().bytes;
  // The largest budget that leaves half of them: shrink step by step.
  while (cache_->stats().entries > 50) {
    options.bytes_max -= 512;
    ASSERT_TRUE(cache_->set_options(options));
  }
  for (const EntryPtr& entry : cache_->list({.tenant = "t"}, 100, ""))
    EXPECT_EQ(entry->hits(), 1U) << entry->query();
}

}  // namespace
}  // namespace enhanced_gptcache::cache
