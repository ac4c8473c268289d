#include "admin/openapi.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace enhanced_gptcache::admin {
namespace {

nlohmann::json document(const std::vector<http::RouteName>& routes) {
  return nlohmann::json::parse(openapi_json(routes));
}

TEST(OpenApi, ShowsTheRoutesThatExistAndNoOther) {
  const auto body = document({{"POST", "/cache/lookup"}, {"GET", "/live"}});
  EXPECT_EQ(body["openapi"], "3.1.0");
  ASSERT_EQ(body["paths"].size(), 2U);
  EXPECT_TRUE(body["paths"]["/cache/lookup"].contains("post"));
  EXPECT_EQ(
      body["paths"]["/cache/lookup"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"],
      "#/components/schemas/Lookup");
  EXPECT_FALSE(body["paths"]["/live"]["get"].contains("requestBody"));
  EXPECT_TRUE(document({})["paths"].empty());
}

TEST(OpenApi, WritesAPrefixAsAParameter) {
  const auto body = document({{"DELETE", "/cache/entries/*"}});
  const auto& operation = body["paths"]["/cache/entries/{id}"]["delete"];
  EXPECT_EQ(operation["parameters"][0]["name"], "id");
  EXPECT_FALSE(operation["summary"].get<std::string>().empty());
}

TEST(OpenApi, ListsWhatIsPassedThroughApart) {
  const auto body = document({{"*", "/v1/*"}});
  EXPECT_TRUE(body["paths"].empty());
  EXPECT_EQ(body["x-pass-through"][0], "/v1/*");
}

TEST(OpenApi, ARouteWithoutASentenceStillShows) {
  const auto body = document({{"GET", "/new"}});
  EXPECT_EQ(body["paths"]["/new"]["get"]["summary"], "");
  EXPECT_TRUE(body["paths"]["/new"]["get"]["responses"].contains("200"));
}

}  // namespace
}  // namespace enhanced_gptcache::admin
