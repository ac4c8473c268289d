#pragma once
// Who did what to this installation, and who was turned away: lines of JSON that are only ever appended, each
// with the hash of the one before, so that a changed, removed, reordered or cut-off line shows (compare
// B. Schneier and J. Kelsey, "Secure audit logs to support computer forensics", 1999). The end of the chain
// is kept beside it under the instance key, so that a chain made anew does not pass either. docs/formats.md.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"
#include "security/audit_chain.h"

namespace enhanced_gptcache::security {

struct AuditOptions {
  size_t file_bytes_max = size_t{64} << 20U;  ///< then a new file is begun
  size_t files_max = 16;                      ///< older ones are deleted
  double refusals_per_second = 20;  ///< more are counted, not written, so that a flood fills no disk
};

/// Thread rule: any thread.
class AuditLog {
 public:
  /// Goes on where `<folder>/audit` ends; a last line that was cut off by a crash is taken out and said so.
  /// kIo: it cannot be read or written.
  static Result<std::unique_ptr<AuditLog>> open(const std::string& folder,
                                                const base::SecretKey& instance_key,
                                                const AuditOptions& options,
                                                const base::Clock& clock = base::system_clock());
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  /// Hands it to the writing thread; written and synced within milliseconds. Never blocks: when the disk does
  /// not keep up, events are counted and the next line says how many are missing.
  void append(AuditEvent event);
  /// Waits until everything appended so far is on disk, or `timeout_ms` is over (false).
  bool flush(int64_t timeout_ms);
  /// The newest lines, oldest first, at most `count`, of the current file.
  std::vector<std::string> tail(size_t count) const;

  struct Stats {
    uint64_t written = 0, suppressed = 0, failures = 0;
  };
  Stats stats() const;

 private:
  AuditLog(std::string folder, const base::SecretKey& key, const AuditOptions& options,
           const base::Clock& clock);
  Result<void> resume();
  Result<void> repair(const std::string& text);
  void run();
  bool write(const std::vector<AuditEvent>& batch);
  bool rotate();
  bool may_write_refusal();
  std::string current() const { return folder_ + "/audit.jsonl"; }

  const std::string folder_;
  const base::SecretKey key_;
  const AuditOptions options_;
  const base::Clock& clock_;

  // Of the writing thread, after open().
  bool is_head_lost_ = false;
  AuditHead head_;
  int fd_ = -1;
  size_t file_bytes_ = 0;
  uint64_t file_first_ = 0;  // sequence number of the current file's first line; 0: it is empty

  mutable std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<AuditEvent> waiting_;  // guarded by mutex_
  uint64_t lost_ = 0;               // not written since the last line; guarded by mutex_
  double refusal_tokens_ = 0;       // guarded by mutex_
  int64_t refusal_us_ = 0;          // guarded by mutex_
  bool writing_ = false;            // guarded by mutex_
  bool stopping_ = false;           // guarded by mutex_
  Stats stats_;                     // guarded by mutex_
  std::thread writer_;
};

}  // namespace enhanced_gptcache::security
