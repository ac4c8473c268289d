#include "admin/admin_api.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::admin {
namespace {

TEST(MetricsForm, AcceptAndFormatDecide) {
  const auto form = [](std::string_view accept, std::string_view query) {
    return metrics_form(accept, query).value();
  };
  EXPECT_EQ(form("*/*", ""), MetricsForm::kJson);
  EXPECT_EQ(form("application/json", ""), MetricsForm::kJson);
  EXPECT_EQ(form("", ""), MetricsForm::kPrometheus);
  EXPECT_EQ(form("text/plain", ""), MetricsForm::kPrometheus);
  EXPECT_EQ(form("text/html,*/*", ""), MetricsForm::kPrometheus);
  EXPECT_EQ(form("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", ""),
            MetricsForm::kPrometheus);
  EXPECT_EQ(form("*/*", "format=prometheus"), MetricsForm::kPrometheus);
  EXPECT_EQ(form("text/plain", "x=1&format=json"), MetricsForm::kJson);
}

TEST(MetricsForm, AnotherFormatIsNamed) {
  const auto form = metrics_form("*/*", "format=xml");
  ASSERT_FALSE(form);
  EXPECT_EQ(form.error().message, "format: is \"xml\", allowed are json and prometheus");
}

}  // namespace
}  // namespace enhanced_gptcache::admin
