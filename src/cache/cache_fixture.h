#pragma once
// What the tests of this folder share: a cache on a fake model and a clock that stands still.

#include <gtest/gtest.h>

#include "cache/cache_impl.h"
#include "fakes/fake_clock.h"
#include "fakes/fake_embedder.h"

namespace enhanced_gptcache::cache {

class CacheTest : public testing::Test {
 protected:
  CacheTest() { reopen(options_of_tests()); }

  static Options options_of_tests() {
    Options options;
    options.decision = DecisionPolicy::kStatic;
    return options;
  }
  void reopen(const Options& options) { cache_ = open_cache(options, embedder_, clock_, false).value(); }

  static Prompt prompt(std::string_view query, std::vector<Turn> context = {}) {
    return make_prompt(query, std::move(context));
  }
  std::string put(const Prompt& of, std::string_view answer) {
    StoreRequest request;
    request.prompt = of;
    request.text = answer;
    return put(request);
  }
  std::string put(const StoreRequest& request) {
    clock_.advance_ms(1);
    const auto stored = cache_->store(request);
    EXPECT_TRUE(stored) << stored.error().message;
    return stored ? stored->id : "";
  }
  Lookup look(const Prompt& of, const LookupOptions& options = {}) {
    clock_.advance_ms(1);
    return cache_->lookup(of, options).value();
  }
  /// The answer's text, or "miss: <reason>".
  std::string ask(const Prompt& of, const LookupOptions& options = {}) {
    const Lookup lookup = look(of, options);
    if (lookup.entry != nullptr) return std::string(lookup.entry->text());
    return "miss: " + std::string(to_string(lookup.reason));
  }

  fakes::FakeClock clock_;
  std::shared_ptr<fakes::FakeEmbedder> embedder_ = std::make_shared<fakes::FakeEmbedder>();
  std::unique_ptr<CacheImpl> cache_;
};

}  // namespace enhanced_gptcache::cache
