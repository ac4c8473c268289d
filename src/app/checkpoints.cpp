#include "app/checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/keyed_hash.h"
#include "base/log.h"

namespace enhanced_gptcache::app {
namespace {

namespace fs = std::filesystem;

/// One that nobody dropped belongs to a backup that died.
constexpr std::chrono::hours kAgeMax{6};
constexpr size_t kCountMax = 4;

}  // namespace

Checkpoints::Checkpoints(EnhancedCache& cache, std::string storage_path)
    : cache_(cache), folder_(fs::absolute(storage_path + "/checkpoints").lexically_normal().string()) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Checkpoints::drop_old() {
  std::error_code error;
  for (fs::directory_iterator each(folder_, error), end; !error && each != end; each.increment(error)) {
    std::error_code ignored;
    if (fs::file_time_type::clock::now() - each->last_write_time(ignored) > kAgeMax)
      fs::remove_all(each->path(), ignored);
  }
}

Result<std::string> Checkpoints::make() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{} cannot be made: {}", folder_, error.message()));
  drop_old();
  const auto count = std::distance(fs::directory_iterator(folder_, error), fs::directory_iterator());
  if (static_cast<size_t>(count) >= kCountMax)
    return fail(ErrorCode::kOverloaded, "other backups are under way; try again when they are done");
  const std::string name = base::random_hex(8);
  const std::string path = folder_ + "/" + name;
  EGPTC_TRY_VOID(cache_.checkpoint(path));
  base::log_info("storage: checkpoint {} for a backup", name);
  return nlohmann::json{{"name", name}, {"path", path}}.dump();
}

std::string Checkpoints::list() const {
  nlohmann::ordered_json copies = nlohmann::ordered_json::array();
  std::error_code error;
  const auto file_now = fs::file_time_type::clock::now();
  for (fs::directory_iterator each(folder_, error), end; !error && each != end; each.increment(error)) {
    std::error_code ignored;
    const auto age = file_now - each->last_write_time(ignored);
    const auto age_ms = std::chrono::duration_cast<std::chrono::milliseconds>(age).count();
    copies.push_back({{"name", each->path().filename().string()},
                      {"path", each->path().string()},
                      {"made_ms", base::system_clock().wall_ms() - age_ms}});
  }
  const auto age_max_s = std::chrono::duration_cast<std::chrono::seconds>(kAgeMax).count();
  return nlohmann::ordered_json{{"copies", copies}, {"copies_max", kCountMax}, {"age_max_seconds", age_max_s}}
      .dump();
}

Result<void> Checkpoints::drop(const std::string& name) {
  const bool is_ours = name.size() == 16 && name.find_first_not_of("0123456789abcdef") == name.npos;
  std::error_code error;
  if (!is_ours || fs::remove_all(folder_ + "/" + name, error) == 0 || error)
    return fail(ErrorCode::kNotFound, "no checkpoint of this name");
  return {};
}

}  // namespace enhanced_gptcache::app
