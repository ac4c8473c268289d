// Each component of /health that can fail, failing. (pca_wrapper, tau_manager and context_filter cannot: they
// say whether they are on.)

#include "app/health_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "fakes/fake_embedder.h"
#include "fakes/test_folder.h"

namespace enhanced_gptcache::app {
namespace {

using admin::ComponentState;
using admin::HealthStatus;
using testing::HasSubstr;

ComponentState component(const HealthInputsSource& from, std::string_view wanted) {
  for (const auto& [name, state] : health_inputs(from).components)
    if (name == wanted) return state();
  ADD_FAILURE() << "no component " << wanted;
  return {};
}

TEST(HealthChecks, AnEmbedderThatFailsIsUnhealthy) {
  fakes::FakeEmbedder embedder;
  HealthInputsSource from;
  from.embedder = &embedder;
  EXPECT_EQ(component(from, "embedder").status, HealthStatus::kHealthy);
  embedder.fail_all(true);
  const ComponentState failing = component(from, "embedder");
  EXPECT_EQ(failing.status, HealthStatus::kUnhealthy);
  EXPECT_THAT(failing.detail, HasSubstr("told to fail"));
  from.embedder = nullptr;
  EXPECT_FALSE(component(from, "embedder").enabled);
}

TEST(HealthChecks, AStorageFolderThatIsGoneIsAWarning) {
  const auto cache = EnhancedCache::open(Options(), std::make_shared<fakes::FakeEmbedder>()).value();
  const fakes::TestFolder folder;
  HealthInputsSource from;
  from.cache = cache.get();
  from.storage_path = folder / "storage";
  const ComponentState gone = component(from, "storage");
  EXPECT_EQ(gone.status, HealthStatus::kWarning);
  EXPECT_THAT(gone.detail, HasSubstr("is not writable: No such file"));
  std::filesystem::create_directories(from.storage_path);
  EXPECT_FALSE(component(from, "storage").enabled) << "this cache lives in memory";
}

TEST(HealthChecks, TheProbeIsTimed) {
  const auto cache = EnhancedCache::open(Options(), std::make_shared<fakes::FakeEmbedder>()).value();
  HealthInputsSource from;
  from.cache = cache.get();
  const Result<double> took = health_inputs(from).probe_ms();
  ASSERT_TRUE(took);
  EXPECT_GE(*took, 0.0);
  EXPECT_EQ(cache->stats().exact_misses, 0U) << "it is not counted";
}

}  // namespace
}  // namespace enhanced_gptcache::app
