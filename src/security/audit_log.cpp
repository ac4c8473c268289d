#include "security/audit_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "base/descriptor.h"
#include "base/log.h"
#include "base/small_file.h"

namespace enhanced_gptcache::security {
namespace {

constexpr size_t kWaitingMax = 4096;
constexpr size_t kBatchMax = 256;
constexpr size_t kTailBytesMax = size_t{4} << 20U;
constexpr auto kRetry = std::chrono::seconds(1);

AuditEvent own_event(std::string name, std::string detail) {
  AuditEvent event;
  event.event = std::move(name);
  event.actor = "server";
  event.detail = std::move(detail);
  return event;
}

}  // namespace

AuditLog::AuditLog(std::string folder, const base::SecretKey& key, const AuditOptions& options,
                   const base::Clock& clock)
    : folder_(std::move(folder)), key_(key), options_(options), clock_(clock) {
  refusal_tokens_ = 5 * options_.refusals_per_second;
  refusal_us_ = clock_.mono_us();
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& folder,
                                                 const base::SecretKey& instance_key,
                                                 const AuditOptions& options, const base::Clock& clock) {
  std::unique_ptr<AuditLog> log(new AuditLog(folder + "/audit", instance_key, options, clock));
  EGPTC_TRY_VOID(log->resume());
  log->writer_ = std::thread([raw = log.get()] { raw->run(); });
  return log;
}

AuditLog::~AuditLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (fd_ >= 0) ::close(fd_);
}

Result<void> AuditLog::resume() {
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ErrorCode::kIo, fmt::format("cannot make {}: {}", folder_, std::strerror(errno)));
  head_ = {0, audit_root(), 1, audit_root()};
  const std::vector<std::string> files = audit_files(folder_);
  const auto text = base::read_small_file(folder_ + "/head.json", size_t{1} << 16U);
  if (auto head = text ? read_audit_head(*text, key_) : Result<AuditHead>(fail(text.error()))) {
    head_ = *head;
  } else if (text || !files.empty()) {
    base::log_error("audit: {}; `enhanced-gptcache audit verify` says more", head.error().message);
    waiting_.push_back(own_event("audit.damaged", head.error().message));
    is_head_lost_ = true;
  } else if (auto kept = base::replace_file(folder_ + "/head.json", audit_head_text(head_, key_)); !kept) {
    return fail(kept.error());  // a first line without a head would look like a lost one
  }
  fd_ = ::open(current().c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0)
    return fail(ErrorCode::kIo, fmt::format("cannot open {}: {}", current(), std::strerror(errno)));
  EGPTC_TRY(const std::string content, base::read_small_file(current(), size_t{2} << 30U));
  return repair(content);
}

Result<void> AuditLog::repair(const std::string& text) {
  const size_t whole = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
  if (whole < text.size()) {
    if (::ftruncate(fd_, static_cast<off_t>(whole)) != 0)
      return fail(ErrorCode::kIo, fmt::format("cannot repair {}: {}", current(), std::strerror(errno)));
    waiting_.push_back(
        own_event("audit.repaired",
                  fmt::format("{} bytes of a line that was cut off were removed", text.size() - whole)));
  }
  file_bytes_ = whole;
  uint64_t damaged = 0;
  for (size_t begin = 0; begin < whole;) {
    const size_t end = text.find('\n', begin);
    const auto place = read_audit_place(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (!place) {
      ++damaged;
      continue;
    }
    if (file_first_ == 0) file_first_ = place->seq;
    // After a crash the file may be ahead of the head, never behind it.
    if (place->seq == head_.seq + 1 && place->prev == head_.hash) {
      head_.seq = place->seq;
      head_.hash = place->hash;
    }
  }
  if (damaged > 0) {
    base::log_error("audit: {} has {} damaged lines; `enhanced-gptcache audit verify` names them", current(),
                    damaged);
    waiting_.push_back(own_event("audit.damaged", fmt::format("{} lines", damaged)));
  }
  // Nobody can tell any more whether the file holds all of it: a number is left out, so that verify says so.
  if (is_head_lost_) ++head_.seq;
  return {};
}

bool AuditLog::may_write_refusal() {
  const int64_t now_us = clock_.mono_us();
  const double passed_s = static_cast<double>(std::max<int64_t>(0, now_us - refusal_us_)) / 1e6;
  refusal_us_ = std::max(refusal_us_, now_us);
  refusal_tokens_ =
      std::min(5 * options_.refusals_per_second, refusal_tokens_ + passed_s * options_.refusals_per_second);
  if (refusal_tokens_ < 1) return false;
  refusal_tokens_ -= 1;
  return true;
}

void AuditLog::append(AuditEvent event) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kWaitingMax || (event.is_refusal && !may_write_refusal())) {
      ++lost_;
      ++stats_.suppressed;
      return;
    }
    waiting_.push_back(std::move(event));
  }
  wake_.notify_one();
}

void AuditLog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) break;
    std::vector<AuditEvent> batch;
    if (lost_ > 0) {
      batch.push_back(
          own_event("audit.suppressed", fmt::format("{} events were counted, not written", lost_)));
    }
    const uint64_t told = lost_;
    while (!waiting_.empty() && batch.size() < kBatchMax) {
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    writing_ = true;
    lock.unlock();
    bool written = write(batch);
    lock.lock();
    while (!written && !stopping_) {
      ++stats_.failures;
      wake_.wait_for(lock, kRetry, [this] { return stopping_; });
      lock.unlock();
      written = write(batch);
      lock.lock();
    }
    writing_ = false;
    if (written) {
      lost_ -= told;
      stats_.written += batch.size();
    } else {
      lost_ += batch.size();
    }
    if (waiting_.empty()) idle_.notify_all();
    if (!written && stopping_) break;
  }
  idle_.notify_all();
}

bool AuditLog::write(const std::vector<AuditEvent>& batch) {
  if (file_bytes_ >= options_.file_bytes_max && !rotate()) return false;
  AuditHead next = head_;
  std::string text;
  for (const AuditEvent& event : batch) {
    std::string hash;
    text += audit_line(event, ++next.seq, clock_.wall_ms(), next.hash, hash) + "\n";
    next.hash = std::move(hash);
  }
  if (!base::write_all(fd_, text) || ::fdatasync(fd_) != 0) {
    base::log_error("audit: {} cannot be written: {}", current(), std::strerror(errno));
    // A second attempt must not find half of the first one.
    if (::ftruncate(fd_, static_cast<off_t>(file_bytes_)) != 0)
      base::log_error("audit: {} cannot be repaired: {}", current(), std::strerror(errno));
    return false;
  }
  if (file_first_ == 0) file_first_ = head_.seq + 1;
  file_bytes_ += text.size();
  head_ = std::move(next);
  // The lines are safe; a head that lags behind is caught up with at the next start.
  if (auto kept = base::replace_file(folder_ + "/head.json", audit_head_text(head_, key_)); !kept)
    base::log_error("audit: {}", kept.error().message);
  return true;
}

bool AuditLog::rotate() {
  // Without a descriptor an earlier attempt renamed the file, and could not open the next one.
  if (fd_ >= 0) {
    const std::string name = fmt::format("{}/audit-{:020}.jsonl", folder_, file_first_);
    if (::rename(current().c_str(), name.c_str()) != 0) {
      base::log_error("audit: {} cannot be rotated: {}", current(), std::strerror(errno));
      return false;
    }
    ::close(fd_);
  }
  fd_ = ::open(current().c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) {
    base::log_error("audit: {} cannot be opened: {}", current(), std::strerror(errno));
    return false;
  }
  file_bytes_ = 0;
  file_first_ = 0;
  std::vector<std::string> files = audit_files(folder_);
  files.pop_back();  // the current one
  while (files.size() > options_.files_max) {
    // What is kept begins with the next file, and the head has to say so before the old one goes.
    const auto next = base::read_small_file(files[1], size_t{2} << 30U);
    const auto place = next ? read_audit_place(std::string_view(*next).substr(0, next->find('\n')))
                            : Result<AuditPlace>(fail(next.error()));
    if (!place) break;
    head_.first_seq = place->seq;
    head_.first_prev = place->prev;
    if (!base::replace_file(folder_ + "/head.json", audit_head_text(head_, key_))) break;
    ::unlink(files.front().c_str());
    files.erase(files.begin());
  }
  return true;
}

bool AuditLog::flush(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                        [this] { return waiting_.empty() && !writing_; });
}

std::vector<std::string> AuditLog::tail(size_t count) const {
  const auto text = base::read_small_file(current(), size_t{2} << 30U);
  std::vector<std::string> lines;
  if (!text) return lines;
  std::string_view rest(*text);
  if (rest.size() > kTailBytesMax) rest.remove_prefix(rest.find('\n', rest.size() - kTailBytesMax) + 1);
  rest = rest.substr(0, rest.rfind('\n') == rest.npos ? 0 : rest.rfind('\n'));
  while (!rest.empty() && lines.size() < count) {
    const size_t begin = rest.rfind('\n') == rest.npos ? 0 : rest.rfind('\n') + 1;
    lines.emplace_back(rest.substr(begin));
    rest = rest.substr(0, begin == 0 ? 0 : begin - 1);
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

AuditLog::Stats AuditLog::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace enhanced_gptcache::security
