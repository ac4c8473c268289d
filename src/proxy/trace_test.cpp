#include "proxy/trace.h"

#include <gtest/gtest.h>

#include "fakes/fake_clock.h"
#include "proxy/control_rights.h"

namespace enhanced_gptcache::proxy {
namespace {

constexpr std::string_view kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

class Sink final : public TraceSink {
 public:
  bool samples(const std::optional<base::TraceContext>& parent) override { return parent || all_; }
  void take(FinishedTrace trace) override { taken.push_back(std::move(trace)); }
  bool all_ = true;
  std::vector<FinishedTrace> taken;
};

class TraceTest : public testing::Test {
 protected:
  TracePtr begin(std::string_view parent) { return RequestTrace::begin(sink_, parent, clock_); }
  std::shared_ptr<Sink> sink_ = std::make_shared<Sink>();
  fakes::FakeClock clock_;
};

TEST_F(TraceTest, GoesToTheSinkWhenTheLastPartLetsGo) {
  TracePtr trace = begin(kParent);
  ASSERT_NE(trace, nullptr);
  TracePtr held = trace;
  trace->finish({});
  trace.reset();
  EXPECT_TRUE(sink_->taken.empty());
  held.reset();
  ASSERT_EQ(sink_->taken.size(), 1U);
  EXPECT_EQ(sink_->taken[0].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(sink_->taken[0].spans[0].parent, "00f067aa0ba902b7");
}

TEST_F(TraceTest, IsNoneWithoutASinkOrASample) {
  EXPECT_EQ(RequestTrace::begin(nullptr, kParent, clock_), nullptr);
  sink_->all_ = false;
  EXPECT_EQ(begin("nonsense"), nullptr);
  EXPECT_NE(begin(kParent), nullptr);
  const TimedSpan nothing(nullptr, "upstream");
}

TEST_F(TraceTest, TellsTheProviderAndDropsAStateOfNoTrace) {
  http::Headers headers{{"tracestate", "a=b"}};
  begin("nonsense")->pass_on(headers);
  ASSERT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers[0].name, "traceparent");
  http::Headers kept{{"tracestate", "a=b"}};
  begin(kParent)->pass_on(kept);
  EXPECT_EQ(kept.size(), 2U);
}

TEST_F(TraceTest, ALookupIsToldInItsParts) {
  TracePtr trace = begin(kParent);
  Lookup miss;
  miss.pair_encoder_ms = 0.5;
  cache::LookupTimes times;
  times.embed_us = 700;
  add_lookup(*trace, trace->now_us(), miss, times);
  {
    TimedSpan call(trace, "upstream", Span::Kind::kClient);
    call.note("egptc.upstream", std::string("default"));
    call.fail();
  }
  for (int i = 0; i < 100; ++i) trace->add({});
  trace.reset();
  const std::vector<Span>& spans = sink_->taken.at(0).spans;
  ASSERT_EQ(spans.size(), 32U) << "bounded";
  EXPECT_EQ(spans[0].name, "lookup");
  EXPECT_EQ(spans[1].name, "embed");
  EXPECT_EQ(spans[1].parent, spans[0].id);
  EXPECT_TRUE(spans[2].failed);
}

TEST(ControlRights, WhatAKeyDoesNotAllowIsRefusedByName) {
  security::Identity identity;
  Controls controls;
  controls.name_space = "b";
  EXPECT_TRUE(apply_rights(identity, controls));
  identity.namespaces = {"a"};
  const auto refused = apply_rights(identity, controls);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 403);
  EXPECT_NE(refused.error().message.find("\"b\""), std::string::npos);
  controls.name_space.clear();
  EXPECT_TRUE(apply_rights(identity, controls));
  EXPECT_EQ(controls.name_space, "a") << "the key's own";
  identity.controls = {};
  controls.no_cache = true;
  const auto denied = apply_rights(identity, controls);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, "cache_control_not_allowed");
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
