#include "enhanced_gptcache/configuration_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "config/test_folder.h"

namespace enhanced_gptcache {
namespace {

using ::testing::HasSubstr;

TEST(ConfigurationManager, ReadsAndFollowsAFile) {
  const config::TestFolder folder;
  const std::string path = folder.write("c.yaml", config::minimal_file("upstream: {api_key: sk-x}\n"));
  auto manager = ConfigurationManager::open(path);
  ASSERT_TRUE(manager) << manager.error().message;
  EXPECT_EQ((*manager)->path(), path);
  const YAML::Node all = YAML::Load((*manager)->config());
  EXPECT_EQ(all["cache"]["size_mb"].as<int>(), 500);
  EXPECT_EQ(all["upstream"]["api_key"].as<std::string>(), "********");
  EXPECT_EQ(*(*manager)->check_for_updates(), false);

  folder.write("c.yaml", config::minimal_file("server: {port: 81}\n"));
  EXPECT_EQ(*(*manager)->check_for_updates(), true);
  EXPECT_EQ(*(*manager)->get_int("server.port"), 81);
  EXPECT_EQ(*(*manager)->check_for_updates(), false);

  folder.write("c.yaml", "cache: 5\n");
  const auto bad = (*manager)->check_for_updates();
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("Missing required config section: context"));
  EXPECT_EQ(*(*manager)->get_int("server.port"), 81) << "the old values stay";
}

TEST(ConfigurationManager, TypedValues) {
  const config::TestFolder folder;
  auto manager = ConfigurationManager::open(folder.write("c.yaml", config::minimal_file()));
  ASSERT_TRUE(manager);
  EXPECT_EQ(*(*manager)->get_bool("pca.enabled"), true);
  EXPECT_EQ(*(*manager)->get_double("cache.similarity_threshold"), 0.65);
  EXPECT_EQ(*(*manager)->get_double("cache.candidates"), 8.0);
  EXPECT_EQ(*(*manager)->get_text("cache.similarity_threshold"), "0.65");
  EXPECT_EQ((*manager)->get_bool("server.port").error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT((*manager)->get_int("server.prt").error().message, HasSubstr("server.port"));
  EXPECT_EQ((*manager)->get_text("nothing").error().code, ErrorCode::kNotFound);
}

TEST(ConfigurationManager, Failures) {
  const config::TestFolder folder;
  EXPECT_EQ(ConfigurationManager::open(folder / "absent").error().code, ErrorCode::kNotFound);
  const auto bad = ConfigurationManager::open(folder.write("c.yaml", "a: 1\nb: 2\n"));
  EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace enhanced_gptcache
