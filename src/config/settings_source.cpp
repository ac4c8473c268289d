#include "config/settings_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "config/admin_file.h"
#include "config/file_watch.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

std::string joined(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) text += (text.empty() ? "" : "\n") + problem.text();
  return text;
}

/// For whoever sent a change: its values without the name of the file they would be kept in; what is wrong
/// elsewhere with its place.
std::string joined_for_request(const std::vector<Problem>& problems, const std::string& admin_path) {
  std::string text;
  for (const Problem& problem : problems) {
    const bool is_sent = problem.source.starts_with(kRequestPlace) || problem.source == admin_path;
    text += (text.empty() ? "" : "\n") + (is_sent ? problem.request_text() : problem.text());
  }
  return text;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

class SettingsSource::Impl {
 public:
  Impl(LoadRequest request, std::shared_ptr<const Loaded> loaded)
      : request_(std::move(request)), loaded_(std::move(loaded)) {
    // A new storage.path waits for the next start, and the admin changes stay where they are until then.
    request_.admin_path = loaded_->admin_path;
  }

  std::shared_ptr<const Loaded> loaded() const {
    const std::lock_guard lock(state_mutex_);
    return loaded_;
  }

  ReloadStatus status() const {
    const std::lock_guard lock(state_mutex_);
    return status_;
  }

  void subscribe(Listener listener) {
    const std::lock_guard lock(reload_mutex_);
    listeners_.push_back(std::move(listener));
  }

  Result<Change> reload(bool counted) {
    const std::lock_guard lock(reload_mutex_);
    LoadOutcome outcome = load(request_);
    if (!outcome.loaded) return reject(outcome.errors);
    return publish(*outcome.loaded, counted);
  }

  Result<Change> apply_admin(const AdminValues& changes, const Guard& guard) {
    const std::lock_guard lock(reload_mutex_);
    EGPTC_TRY(AdminValues values, with_changes(changes));
    return try_admin(std::move(values), changes, guard);
  }

  Result<Change> check_admin(const AdminValues& changes, const Guard& guard) {
    const std::lock_guard lock(reload_mutex_);
    EGPTC_TRY(AdminValues values, with_changes(changes));
    EGPTC_TRY(const auto candidate, check_candidate(std::move(values), guard));
    Change change;
    const auto merged = keep_running(*candidate, change.pending_restart);
    change.before = {loaded_, &loaded_->settings};
    change.after = {merged, &merged->settings};
    change.keys = changed_keys(*change.before, *change.after);
    change.overridden = overridden(*candidate, changes);
    return change;
  }

  Result<Change> reset_admin(const Guard& guard) {
    const std::lock_guard lock(reload_mutex_);
    return try_admin({}, {}, guard);
  }

  std::vector<std::string> watched_files() const {
    const auto loaded_now = loaded();
    std::vector<std::string> files = loaded_now->secret_files;
    files.push_back(loaded_now->admin_path);
    // Without a file now, one may appear at a place that is searched.
    if (loaded_now->path.empty())
      files.insert(files.end(), request_.search.begin(), request_.search.end());
    else
      files.push_back(loaded_now->path);
    return files;
  }

  Result<void> watch(int debounce_ms) {
    const std::lock_guard lock(watch_mutex_);
    EGPTC_TRY(watch_, FileWatch::start([this] { return watched_files(); },
                                       [this] { std::ignore = reload(true); }, debounce_ms));
    // What was written between the first load and now has no event of its own.
    std::ignore = reload(false);
    return {};
  }

  void stop_watching() {
    const std::lock_guard lock(watch_mutex_);
    watch_.reset();
  }

 private:
  Result<Change> reject(const std::vector<Problem>& errors) {
    for (const Problem& problem : errors) base::log_error("settings not reloaded: {}", problem.text());
    const std::lock_guard lock(state_mutex_);
    ++status_.rejected;
    status_.valid = false;
    status_.errors = errors;
    return fail(ErrorCode::kInvalidArgument, joined(errors));
  }

  /// What the admin file holds, and `changes` on top.
  Result<AdminValues> with_changes(const AdminValues& changes) const {
    std::vector<Problem> problems;
    auto values = read_admin_file(*request_.admin_path, problems);
    if (!values) return fail(ErrorCode::kInvalidArgument, joined(problems));
    for (const auto& [name, value] : changes) (*values)[name] = value;
    return *std::move(values);
  }

  Result<std::shared_ptr<const Loaded>> check_candidate(AdminValues values, const Guard& guard) const {
    LoadRequest request = request_;
    request.admin_values = std::move(values);
    const LoadOutcome outcome = load(request);
    if (!outcome.loaded)
      return fail(ErrorCode::kInvalidArgument, joined_for_request(outcome.errors, *request_.admin_path));
    if (guard) {
      std::vector<std::string> ignored;
      EGPTC_TRY_VOID(guard(keep_running(*outcome.loaded, ignored)->settings));
    }
    return outcome.loaded;
  }

  /// The candidate is checked as a whole before it is written, and written before it is used.
  Result<Change> try_admin(AdminValues values, const AdminValues& changes, const Guard& guard) {
    EGPTC_TRY(const auto candidate, check_candidate(values, guard));
    const auto written = values.empty() ? remove_admin_file(*request_.admin_path)
                                        : write_admin_file(*request_.admin_path, values);
    if (!written) return fail(written.error());
    EGPTC_TRY(Change change, publish(*candidate, true));
    change.overridden = overridden(*candidate, changes);
    return change;
  }

  static std::vector<std::string> overridden(const Loaded& loaded,
                                             const std::map<std::string, std::string>& changes) {
    std::vector<std::string> names;
    for (const auto& [name, value] : changes)
      if (loaded.values[find_key(name)].origin != Origin::kAdmin) names.push_back(name);
    return names;
  }

  /// The new set with the running values of restart-only keys.
  std::shared_ptr<Loaded> keep_running(const Loaded& fresh, std::vector<std::string>& pending) const {
    auto merged = std::make_shared<Loaded>(fresh);
    for (size_t i = 0; i < keys().size(); ++i) {
      const KeySpec& spec = keys()[i];
      if (spec.reload == Reload::kLive || same_value(spec, loaded_->settings, fresh.settings)) continue;
      copy_value(spec, loaded_->settings, merged->settings);
      merged->values[i] = loaded_->values[i];
      pending.push_back(spec.name());
    }
    return merged;
  }

  Result<Change> publish(const Loaded& fresh, bool counted) {
    Change change;
    std::shared_ptr<Loaded> merged = keep_running(fresh, change.pending_restart);
    const std::shared_ptr<const Loaded> before = loaded_;
    change.before = {before, &before->settings};
    change.after = {merged, &merged->settings};
    change.keys = changed_keys(*change.before, *change.after);
    bool news = false;
    {
      const std::lock_guard lock(state_mutex_);
      news = !change.keys.empty() || change.pending_restart != status_.pending_restart || !status_.valid;
      loaded_ = std::move(merged);
      status_.valid = true;
      status_.errors.clear();
      status_.pending_restart = change.pending_restart;
      if (news)
        ++status_.applied;
      else if (counted)
        ++status_.unchanged;
    }
    if (news) log(change);
    log_warnings(change, *before, fresh);
    if (!change.keys.empty()) {
      for (const Listener& listener : listeners_) listener(change);
    }
    return change;
  }

  static void log(const Change& change) {
    base::log_info("settings reloaded, changed: {}",
                   change.keys.empty() ? "nothing" : fmt::format("{}", fmt::join(change.keys, ", ")));
    if (!change.pending_restart.empty()) {
      base::log_warning("settings that apply at the next start only: {}",
                        fmt::join(change.pending_restart, ", "));
    }
  }

  /// Those of keys that changed, and those that were not there before: a line of the file that /admin/config
  /// masks changes nothing else.
  static void log_warnings(const Change& change, const Loaded& before, const Loaded& fresh) {
    std::vector<std::string> known;
    for (const Problem& warning : before.warnings) known.push_back(warning.text());
    for (const Problem& warning : fresh.warnings) {
      if (contains(change.keys, warning.key) || !contains(known, warning.text()))
        base::log_warning("{}", warning.text());
    }
  }

  LoadRequest request_;

  /// Reloads one after another; taken before state_mutex_.
  std::mutex reload_mutex_;
  std::vector<Listener> listeners_;  // guarded by reload_mutex_

  mutable std::mutex state_mutex_;
  std::shared_ptr<const Loaded> loaded_;  // written under both mutexes
  ReloadStatus status_;                   // guarded by state_mutex_

  std::mutex watch_mutex_;
  std::unique_ptr<FileWatch> watch_;  // guarded by watch_mutex_; last, so that it stops first
};

SettingsSource::SettingsSource(LoadRequest request, std::shared_ptr<const Loaded> loaded)
    : impl_(std::make_unique<Impl>(std::move(request), std::move(loaded))) {}
SettingsSource::~SettingsSource() = default;

std::shared_ptr<const Settings> SettingsSource::current() const {
  auto loaded = impl_->loaded();
  const Settings* settings = &loaded->settings;
  return {std::move(loaded), settings};
}
std::shared_ptr<const Loaded> SettingsSource::loaded() const { return impl_->loaded(); }
void SettingsSource::subscribe(Listener listener) { impl_->subscribe(std::move(listener)); }
Result<Change> SettingsSource::reload() { return impl_->reload(true); }
Result<void> SettingsSource::watch(int debounce_ms) { return impl_->watch(debounce_ms); }
void SettingsSource::stop_watching() { impl_->stop_watching(); }
Result<Change> SettingsSource::apply_admin(const std::map<std::string, std::string>& changes,
                                           const Guard& guard) {
  return impl_->apply_admin(changes, guard);
}
Result<Change> SettingsSource::check_admin(const std::map<std::string, std::string>& changes,
                                           const Guard& guard) const {
  return impl_->check_admin(changes, guard);
}
Result<Change> SettingsSource::reset_admin(const Guard& guard) { return impl_->reset_admin(guard); }
ReloadStatus SettingsSource::status() const { return impl_->status(); }

}  // namespace enhanced_gptcache::config
