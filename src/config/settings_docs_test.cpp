#include "config/settings_docs.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>

#include "config/loader.h"
#include "config/test_folder.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

TEST(SettingsDocs, FilesOfTheRepositoryAreFresh) {
  for (const auto& [path, text] : generated_files()) {
    const std::string file = std::string(EGPTC_SOURCE_DIR) + "/" + path;
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(file, std::ios::binary) << text;
    EXPECT_TRUE(TestFolder::read(file) == text) << path << " is stale: run egptc_gen_settings_docs";
  }
}

LoadOutcome load_text(const TestFolder& folder, const std::string& text,
                      const std::string& environment = "") {
  LoadRequest request;
  request.path = folder.write("config.yaml", text);
  if (!environment.empty()) request.environment["ENV"] = environment;
  return load(request);
}

TEST(SettingsDocs, SampleHoldsEveryKeyWithItsDefault) {
  const TestFolder folder;
  const LoadOutcome outcome = load_text(folder, sample_defaults());
  ASSERT_TRUE(outcome.loaded) << outcome.errors.at(0).text();
  EXPECT_TRUE(outcome.warnings.empty());
  EXPECT_TRUE(changed_keys(Settings{}, outcome.loaded->settings).empty());
  for (size_t i = 0; i < keys().size(); ++i) {
    EXPECT_EQ(outcome.loaded->values[i].origin, Origin::kFile) << keys()[i].name();
  }
}

TEST(SettingsDocs, EnvironmentFilesAreFlatAndEqualTheirProfile) {
  const TestFolder folder;
  const struct {
    const char* environment;
    int size_mb;
  } cases[] = {{"production", 500}, {"staging", 200}, {"development", 50}};
  for (const auto& item : cases) {
    const std::string text = sample_environment(item.environment);
    // As the guide's one-liners read it.
    EXPECT_EQ(YAML::Load(text)["cache"]["similarity_threshold"].as<double>(), 0.65);
    EXPECT_TRUE(YAML::Load(text)["pca"]["enabled"].as<bool>());
    const LoadOutcome outcome = load_text(folder, text, item.environment);
    ASSERT_TRUE(outcome.loaded);
    EXPECT_EQ(outcome.loaded->settings.cache.size_mb, item.size_mb);
    const LoadOutcome profile = load_text(folder, minimal_file(), item.environment);
    EXPECT_TRUE(changed_keys(profile.loaded->settings, outcome.loaded->settings).empty());
  }
}

TEST(SettingsDocs, GuideFilesLoad) {
  const TestFolder folder;
  const std::string nested =
      "production:\n"
      "  cache: {similarity_threshold: 0.65, size_mb: 500, eviction_policy: lru}\n"
      "  context:\n"
      "    divergence_threshold: 0.3\n"
      "    window_size: 3\n"
      "    embedding_model: sentence-transformers/all-MiniLM-L6-v2\n"
      "    enabled: true\n"
      "  pca:\n"
      "    target_dimensions: 128\n"
      "    training_samples: 100\n"
      "    compression_threshold: 100\n"
      "    model_path: /app/models/pca_model.pkl\n"
      "    enabled: true\n"
      "  federated: {initial_tau: 0.85, learning_rate: 0.01, num_users: 10, aggregation_frequency: 100, "
      "enabled: true}\n"
      "  monitoring:\n"
      "    metrics_enabled: true\n"
      "    detailed_logging: false\n"
      "    performance_tracking: true\n"
      "    export_metrics: true\n"
      "  resources: {max_memory_mb: 2048, max_cpu_cores: 4, connection_pool_size: 20, "
      "request_timeout_seconds: 30}\n"
      "staging:\n"
      "  cache: {similarity_threshold: 0.65, size_mb: 200}\n"
      "  monitoring: {detailed_logging: true}\n"
      "development:\n"
      "  cache: {size_mb: 50}\n"
      "  monitoring: {detailed_logging: true, debug_mode: true}\n";
  const struct {
    const char* environment;
    int size_mb;
    bool detailed, debug;
  } cases[] = {{"", 500, false, false}, {"staging", 200, true, false}, {"development", 50, true, true}};
  for (const auto& item : cases) {
    const LoadOutcome outcome = load_text(folder, nested, item.environment);
    ASSERT_TRUE(outcome.loaded) << outcome.errors.at(0).text();
    EXPECT_EQ(outcome.loaded->settings.cache.size_mb, item.size_mb);
    EXPECT_EQ(outcome.loaded->settings.monitoring.detailed_logging, item.detailed);
    EXPECT_EQ(outcome.loaded->settings.monitoring.debug_mode, item.debug);
    ASSERT_EQ(outcome.warnings.size(), 1U) << "nothing is exported yet";
  }
}

TEST(SettingsDocs, EveryKeyHasARowAndAComment) {
  const std::string markdown = settings_markdown();
  const std::string sample = sample_defaults();
  for (const KeySpec& spec : keys()) {
    EXPECT_NE(markdown.find("| `" + std::string(spec.key) + "` | "), std::string::npos) << spec.name();
    EXPECT_NE(sample.find("\n  " + std::string(spec.key) + ":"), std::string::npos) << spec.name();
  }
}

}  // namespace
}  // namespace enhanced_gptcache::config
