#include "config/prices.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::config {
namespace {

TEST(Prices, AreReadFromTheLastEqualsSign) {
  const auto price = parse_price("azure/gpt=4o*=2.5/10");
  ASSERT_TRUE(price);
  EXPECT_EQ(price->model, "azure/gpt=4o*");
  EXPECT_EQ(price->input, 2.5);
  EXPECT_EQ(price->output, 10);
  EXPECT_TRUE(parse_price("free=0/0"));
  EXPECT_TRUE(parse_price("*=1e3/1000000"));
}

TEST(Prices, APatternHasALimit) {
  EXPECT_TRUE(parse_price(std::string(kPriceModelBytesMax, 'm') + "=1/2"));
  EXPECT_FALSE(parse_price(std::string(kPriceModelBytesMax + 1, 'm') + "=1/2"));
}

TEST(Prices, WhatIsNoneIsRefused) {
  for (const char* row :
       {"", "=", "gpt", "gpt=", "gpt=1", "gpt=/", "gpt=1/", "gpt=/1", "=1/2", "gpt=1/2/3", "gpt=-1/2",
        "gpt=1/-2", "gpt=nan/1", "gpt=1/inf", "gpt=1/1000001", "gpt= 1/2", "gpt=1/2 ", "gpt=0x1/2"}) {
    const auto price = parse_price(row);
    ASSERT_FALSE(price) << row;
    EXPECT_NE(price.error().message.find("model=input/output"), std::string::npos);
  }
}

}  // namespace
}  // namespace enhanced_gptcache::config
