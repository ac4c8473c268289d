#include "base/short_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace enhanced_gptcache::base {
namespace {

TEST(ShortHash, DependsOnKeyPartsAndWhereTheyEnd) {
  const SecretKey secret = random_key();
  const ShortKey key = derive_short_key(secret, "a");
  const ShortKey other = derive_short_key(secret, "b");
  const std::set<Hash128> hashes = {short_hash(key, {"ab", "c"}), short_hash(key, {"a", "bc"}),
                                    short_hash(key, {"abc"}),     short_hash(key, {"abc", ""}),
                                    short_hash(key, {}),          short_hash(other, {"ab", "c"})};
  EXPECT_EQ(hashes.size(), 6U);
  EXPECT_EQ(short_hash(key, {"ab", "c"}), short_hash(key, {"ab", "c"}));
}

TEST(ShortHash, LongInputIsHashedToTheLastByte) {
  const ShortKey key = derive_short_key(random_key(), "a");
  for (const size_t bytes : {4087U, 4088U, 4089U, 100'000U}) {
    std::string text(bytes, 'x');
    const Hash128 before = short_hash(key, {text});
    EXPECT_EQ(short_hash(key, {text}), before);
    text.back() = 'y';
    EXPECT_NE(short_hash(key, {text}), before) << bytes;
  }
}

}  // namespace
}  // namespace enhanced_gptcache::base
