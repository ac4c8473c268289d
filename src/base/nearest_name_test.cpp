#include "base/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace enhanced_gptcache::base {
namespace {

TEST(NearestName, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> names = {"cache.size_mb", "cache.mode", "query"};
  EXPECT_EQ(nearest_name("cache.size", names), "cache.size_mb");
  EXPECT_EQ(nearest_name("qery", names), "query");
  EXPECT_EQ(nearest_name("zebra.colour", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name("x", {}), "");
  EXPECT_EQ(did_you_mean(""), "");
  EXPECT_EQ(did_you_mean("query"), "; did you mean query?");
}

}  // namespace
}  // namespace enhanced_gptcache::base
