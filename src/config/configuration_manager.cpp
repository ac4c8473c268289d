#include "enhanced_gptcache/configuration_manager.h"

#include <fmt/format.h>

#include <filesystem>
#include <mutex>

#include "base/canonical_json.h"
#include "config/file_watch.h"
#include "config/loader.h"
#include "config/value.h"

namespace enhanced_gptcache {
namespace {

std::string all_as_json(const config::Settings& settings) {
  std::string out = "{";
  std::string_view section;
  for (const config::KeySpec& spec : config::keys()) {
    if (spec.section != section) {
      out += fmt::format("{}{}:{{", section.empty() ? "" : "},", base::json_string(spec.section));
      section = spec.section;
    } else {
      out += ",";
    }
    out += fmt::format("{}:{}", base::json_string(spec.key), config::value_json(spec, settings));
  }
  return out + "}}";
}

}  // namespace

class ConfigurationManager::Impl {
 public:
  Impl(config::LoadRequest request, std::string signature, std::shared_ptr<const config::Loaded> loaded)
      : request_(std::move(request)), loaded_(std::move(loaded)), signature_(std::move(signature)) {}

  std::shared_ptr<const config::Loaded> loaded() const {
    const std::lock_guard lock(mutex_);
    return loaded_;
  }

  Result<bool> check_for_updates() {
    const std::lock_guard check_lock(check_mutex_);
    const std::string path = loaded()->path;
    if (path.empty()) return false;
    std::string signature = config::file_signature(path);
    if (signature == signature_) return false;
    // Remembered even when the file is invalid: it is reported once, and again when it changes again.
    signature_ = std::move(signature);
    EGPTC_TRY(auto fresh, config::load_or_error(request_));
    const std::lock_guard lock(mutex_);
    loaded_ = std::move(fresh);
    return true;
  }

 private:
  const config::LoadRequest request_;
  mutable std::mutex mutex_;
  std::shared_ptr<const config::Loaded> loaded_;  // guarded by mutex_
  std::mutex check_mutex_;
  std::string signature_;  // guarded by check_mutex_
};

Result<std::unique_ptr<ConfigurationManager>> ConfigurationManager::open(const std::string& path) {
  config::LoadRequest request;
  request.environment = config::process_environment();
  if (!path.empty()) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      return fail(ErrorCode::kNotFound, fmt::format("cannot read {}: no such file", path));
    }
    request.path = path;
  }
  // Before the file is read, so that a write in between is seen as a change.
  std::string signature = path.empty() ? "" : config::file_signature(path);
  EGPTC_TRY(auto loaded, config::load_or_error(request));
  if (path.empty()) signature = config::file_signature(loaded->path);
  auto impl = std::make_unique<Impl>(std::move(request), std::move(signature), std::move(loaded));
  return std::unique_ptr<ConfigurationManager>(new ConfigurationManager(std::move(impl)));
}

ConfigurationManager::ConfigurationManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ConfigurationManager::~ConfigurationManager() = default;

std::string ConfigurationManager::config() const { return all_as_json(impl_->loaded()->settings); }

namespace {

template <typename T>
Result<T> get(const config::Loaded& loaded, std::string_view name) {
  const size_t index = config::find_key(name);
  if (index == config::kNoKey) {
    return fail(ErrorCode::kNotFound,
                fmt::format("unknown key {}; did you mean {}?", name, config::nearest_key(name)));
  }
  const config::KeySpec& spec = config::keys()[index];
  config::Settings copy = loaded.settings;
  const config::Field field = spec.field(copy);
  if (const auto* value = std::get_if<T*>(&field)) return **value;
  if constexpr (std::is_same_v<T, double>) {
    if (const auto* value = std::get_if<config::Int*>(&field)) return static_cast<double>(**value);
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is of type {}", name, config::type_name(spec.type)));
}

}  // namespace

Result<bool> ConfigurationManager::get_bool(std::string_view name) const {
  return get<bool>(*impl_->loaded(), name);
}
Result<int64_t> ConfigurationManager::get_int(std::string_view name) const {
  return get<int64_t>(*impl_->loaded(), name);
}
Result<double> ConfigurationManager::get_double(std::string_view name) const {
  return get<double>(*impl_->loaded(), name);
}
Result<std::string> ConfigurationManager::get_text(std::string_view name) const {
  return config::effective_value(*impl_->loaded(), name);
}
Result<bool> ConfigurationManager::check_for_updates() { return impl_->check_for_updates(); }
std::string ConfigurationManager::path() const { return impl_->loaded()->path; }

}  // namespace enhanced_gptcache
