#include "base/trace_context.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::base {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpan = "b7ad6b7169203331";

TEST(TraceContext, IsReadAndWritten) {
  const std::string text = "00-" + kTrace + "-" + kSpan + "-01";
  const auto read = parse_traceparent(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->trace_id, kTrace);
  EXPECT_EQ(read->span_id, kSpan);
  EXPECT_TRUE(read->sampled);
  EXPECT_EQ(traceparent_of(*read), text);
  const auto not_sampled = parse_traceparent("00-" + kTrace + "-" + kSpan + "-00");
  ASSERT_TRUE(not_sampled);
  EXPECT_FALSE(not_sampled->sampled);
}

TEST(TraceContext, OnlyTheLastFlagSaysSampled) {
  EXPECT_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-02")->sampled);
  EXPECT_TRUE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-0b")->sampled);
}

TEST(TraceContext, ALaterVersionMayBeLonger) {
  EXPECT_TRUE(parse_traceparent("cc-" + kTrace + "-" + kSpan + "-01-what-comes"));
  EXPECT_FALSE(parse_traceparent("cc-" + kTrace + "-" + kSpan + "-01what-comes"));
  EXPECT_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-01-what-comes"));
}

TEST(TraceContext, WhatBreaksTheFormatIsNone) {
  const std::string zeros(32, '0');
  for (const std::string& text :
       {std::string(), "00-" + kTrace, "ff-" + kTrace + "-" + kSpan + "-01",
        "00-" + zeros + "-" + kSpan + "-01", "00-" + kTrace + "-" + zeros.substr(16) + "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" + kSpan + "-01", "00_" + kTrace + "-" + kSpan + "-01",
        "00-" + kTrace + "-" + kSpan + "-0g"})
    EXPECT_FALSE(parse_traceparent(text)) << text;
}

}  // namespace
}  // namespace enhanced_gptcache::base
