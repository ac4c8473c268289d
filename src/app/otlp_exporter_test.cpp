#include "app/otlp_exporter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enhanced_gptcache::app {
namespace {

proxy::FinishedTrace one_trace() {
  proxy::Span span;
  span.name = "POST /v1/chat/completions";
  span.id = "00f067aa0ba902b7";
  span.begin_us = 1'700'000'000'000'001;
  span.end_us = span.begin_us + 1500;
  span.kind = proxy::Span::Kind::kServer;
  span.failed = true;
  span.attributes = {{"http.response.status_code", int64_t{502}},
                     {"gen_ai.request.model", std::string("m\xff")},
                     {"egptc.stream", true},
                     {"egptc.ttft_ms", 1.5}};
  return {"4bf92f3577b34da6a3ce929d0e0e4736", {span}};
}

OtlpOptions options() {
  OtlpOptions out;
  out.endpoint = "http://127.0.0.1:1/v1/traces";  // nobody listens
  out.timeout_ms = 200;
  return out;
}

uint64_t dropped(metrics::Registry& registry, const char* reason) {
  const std::string text = registry.prometheus_text();
  const std::string line = std::string("traces_dropped_total{reason=\"") + reason + "\"} ";
  const size_t at = text.find(line);
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + line.size()));
}

TEST(OtlpJson, IsTheJsonFormOfProtocolBuffers) {
  const auto whole = nlohmann::json::parse(otlp_json({one_trace()}, "1.2.3"));
  const auto& resource = whole["resourceSpans"][0];
  EXPECT_EQ(resource["resource"]["attributes"][0]["value"]["stringValue"], "enhanced-gptcache");
  const auto& span = resource["scopeSpans"][0]["spans"][0];
  EXPECT_EQ(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_FALSE(span.contains("parentSpanId"));
  EXPECT_EQ(span["kind"], 2);
  EXPECT_EQ(span["startTimeUnixNano"], "1700000000000001000");
  EXPECT_EQ(span["endTimeUnixNano"], "1700000000001501000");
  EXPECT_EQ(span["attributes"][0]["value"]["intValue"], "502");
  EXPECT_EQ(span["attributes"][1]["value"]["stringValue"], "m\xEF\xBF\xBD");  // what was no UTF-8
  EXPECT_EQ(span["attributes"][2]["value"]["boolValue"], true);
  EXPECT_EQ(span["attributes"][3]["value"]["doubleValue"], 1.5);
  EXPECT_EQ(span["status"]["code"], 2);
}

TEST(OtlpExporter, TheCallerDecidesElseTheRatio) {
  metrics::Registry registry;
  OtlpExporter exporter(options(), registry);
  base::TraceContext parent{"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true};
  exporter.set_sample_ratio(0);
  EXPECT_TRUE(exporter.samples(parent));
  EXPECT_FALSE(exporter.samples(std::nullopt));
  exporter.set_sample_ratio(1);
  parent.sampled = false;
  EXPECT_FALSE(exporter.samples(parent));
  EXPECT_TRUE(exporter.samples(std::nullopt));
  exporter.set_sample_ratio(0.5);
  int taken = 0;
  for (int i = 0; i < 10'000; ++i) taken += exporter.samples(std::nullopt) ? 1 : 0;
  EXPECT_NEAR(taken, 5000, 500);
}

TEST(OtlpExporter, WhatDoesNotFitIsDroppedAndCounted) {
  metrics::Registry registry;
  OtlpOptions small = options();
  small.queue_max = 3;
  OtlpExporter exporter(small, registry);
  for (int i = 0; i < 5; ++i) exporter.take(one_trace());
  exporter.stop();
  exporter.take(one_trace());
  // The thread may have taken the first ones away already.
  EXPECT_GE(dropped(registry, "full"), 1U);
  EXPECT_EQ(dropped(registry, "full") + dropped(registry, "failed"), 6U);
}

TEST(OtlpExporter, ACollectorThatIsNotThereCostsTheTracesOnly) {
  metrics::Registry registry;
  OtlpExporter exporter(options(), registry);
  exporter.take(one_trace());
  exporter.stop();
  EXPECT_EQ(dropped(registry, "failed"), 1U);
  EXPECT_EQ(dropped(registry, "full"), 0U);
}

}  // namespace
}  // namespace enhanced_gptcache::app
