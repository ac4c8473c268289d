#pragma once
// What the tests of runs share: the real cache on a fake model whose similarity is known from the words.

#include <gtest/gtest.h>

#include <memory>

#include "enhanced_gptcache/enhanced_cache.h"
#include "eval/rows.h"
#include "fakes/fake_embedder.h"

namespace enhanced_gptcache::eval {

class RunTest : public testing::Test {
 protected:
  static Options static_at(double threshold) {
    Options options;
    options.decision = DecisionPolicy::kStatic;
    options.similarity_threshold = threshold;
    return options;
  }
  std::unique_ptr<EnhancedCache> open(const Options& options) const {
    return EnhancedCache::open(options, embedder_).value();
  }

  static PairRow pair(std::string a, std::string b, bool same, std::string kind = "k") {
    return {{std::move(a), {}}, {std::move(b), {}}, same, std::move(kind)};
  }

  const std::shared_ptr<const fakes::FakeEmbedder> embedder_ = std::make_shared<fakes::FakeEmbedder>();
};

inline const std::string kPrinter = "How do I restart the printer in room four?";
inline const std::string kPrinterToo = "How can I restart the printer in room four?";
inline const std::string kPrinterElsewhere = "How can I restart the printer in room five?";
inline const std::string kWhales = "Whales eat plankton every day";
inline const std::string kWhalesToo = "Whales do eat plankton every day";

}  // namespace enhanced_gptcache::eval
