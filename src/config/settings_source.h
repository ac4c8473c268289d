#pragma once
// The settings a running server goes by: an immutable snapshot that file changes, SIGHUP and admin
// changes replace as a whole. An invalid file changes nothing and is remembered for /health.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/loader.h"

namespace enhanced_gptcache::config {

/// What reloads have done so far, for /health, /metrics and the log.
struct ReloadStatus {
  uint64_t applied = 0;         ///< reloads that changed something
  uint64_t unchanged = 0;       ///< reloads that found the same values
  uint64_t rejected = 0;        ///< reloads refused as a whole
  bool valid = true;            ///< false: the newest file is invalid and the running settings are older
  std::vector<Problem> errors;  ///< of the newest file, when it is invalid
  std::vector<std::string> pending_restart;  ///< keys whose new value waits for the next start
};

struct Change {
  std::shared_ptr<const Settings> before;
  std::shared_ptr<const Settings> after;
  std::vector<std::string> keys;  ///< live keys that differ
  std::vector<std::string> pending_restart;
  /// Admin changes without effect, because environment or a flag gives the same key.
  std::vector<std::string> overridden;
};

/// Thread rule: every method from any thread. Reloads run one after another.
class SettingsSource {
 public:
  /// Runs under the reload lock, after the snapshot was swapped; must not call back into reload().
  using Listener = std::function<void(const Change&)>;

  /// Looks at what the settings in use would be and may refuse them with its error; runs under the reload
  /// lock.
  using Guard = std::function<Result<void>(const Settings&)>;

  /// `loaded` is what load(request) gave at start.
  SettingsSource(LoadRequest request, std::shared_ptr<const Loaded> loaded);
  ~SettingsSource();
  SettingsSource(const SettingsSource&) = delete;
  SettingsSource& operator=(const SettingsSource&) = delete;

  /// A pointer copy under a lock held for no longer than that; take it once per request.
  std::shared_ptr<const Settings> current() const;
  /// The same with origins, for reports. Its settings are the running ones: a restart-only key shows
  /// the value in use, and is listed in status().pending_restart when the file says otherwise.
  std::shared_ptr<const Loaded> loaded() const;
  void subscribe(Listener listener);

  /// Reads everything again (SIGHUP, /admin/reload). kInvalidArgument: nothing changed, all errors in it.
  Result<Change> reload();
  /// Reloads when the file, the admin file or a secret file changes, `debounce_ms` after the last change:
  /// seen by inotify on the folders at once, by comparing the files within a second where that fails.
  /// kIo: no thread or descriptor for it; reload() still works.
  Result<void> watch(int debounce_ms = 200);
  /// Not from a listener.
  void stop_watching();

  /// Keeps these admin changes ("section.key" to text; JSON for lists) on top of the earlier ones, in
  /// the storage folder. All or none: kInvalidArgument lists what is wrong. kIo: not written.
  Result<Change> apply_admin(const std::map<std::string, std::string>& changes, const Guard& guard = {});
  /// What apply_admin() would do, and does not: the same errors, the same keys.
  Result<Change> check_admin(const std::map<std::string, std::string>& changes,
                             const Guard& guard = {}) const;
  /// Forgets all admin changes.
  Result<Change> reset_admin(const Guard& guard = {});

  ReloadStatus status() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache::config
