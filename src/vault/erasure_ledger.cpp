#include "vault/erasure_ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "base/log.h"
#include "base/small_file.h"

namespace enhanced_gptcache::vault {
namespace {

constexpr std::string_view kWord = "EGPTERASE";
constexpr size_t kFileBytesMax = size_t{512} << 20U;
constexpr size_t kFields = 10;

bool parse_number(std::string_view text, uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_hash(std::string_view text, base::Hash128& hash) {
  const auto parse = [](std::string_view digits, uint64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  return text.size() == 32 && parse(text.substr(0, 16), hash.high) && parse(text.substr(16), hash.low);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (words.size() <= kFields) {
    const size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    if (end == line.size()) break;
    line.remove_prefix(end + 1);
  }
  return words;
}

}  // namespace

base::Hash128 subject_hash(const base::SecretKey& instance_key, std::string_view tenant,
                           std::string_view subject) {
  return base::keyed_hash(instance_key, "data subject", {tenant, subject});
}

base::Hash128 namespace_hash(const base::SecretKey& instance_key, std::string_view tenant,
                             std::string_view name_space) {
  return base::keyed_hash(instance_key, "data namespace", {tenant, name_space});
}

base::Hash128 tenant_hash(const base::SecretKey& instance_key, std::string_view tenant) {
  return base::keyed_hash(instance_key, "data tenant", {tenant});
}

ErasureLedger::~ErasureLedger() { ::close(fd_); }

Result<std::shared_ptr<ErasureLedger>> ErasureLedger::open(const std::string& path,
                                                           const base::SecretKey& instance_key) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                fmt::format("the erasure ledger {} cannot be opened: {}", path, std::strerror(errno)));
  std::shared_ptr<ErasureLedger> ledger(new ErasureLedger(path, fd, instance_key));
  const std::lock_guard lock(ledger->mutex_);
  EGPTC_TRY_VOID(ledger->read_all());
  return ledger;
}

Result<void> ErasureLedger::read_all() {
  EGPTC_TRY(const std::string text, base::read_private_file(path_, kFileBytesMax));
  std::string_view rest = text;
  size_t whole = 0;
  size_t lines = 0;
  while (true) {
    const size_t end = rest.find('\n');
    if (end == rest.npos) break;
    ++lines;
    if (!take_line(rest.substr(0, end))) {
      ++damaged_;
      base::log_error("the erasure ledger {} is damaged in line {}: what it erased is not known any more",
                      path_, lines);
    }
    whole += end + 1;
    rest.remove_prefix(end + 1);
  }
  if (lines > 0 && damaged_ == lines)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("no line of the erasure ledger {} can be read: it belongs to another instance key, "
                    "or all of it is damaged",
                    path_));
  // What a crash left of the last line was never promised to anybody.
  if (!rest.empty() && ::ftruncate(fd_, static_cast<off_t>(whole)) != 0)
    return fail(ErrorCode::kIo, fmt::format("{} cannot be cut: {}", path_, std::strerror(errno)));
  return {};
}

std::string ErasureLedger::mac_of(std::string_view line) const {
  return base::keyed_hash(key_, "erasure ledger", {last_mac_, line}).hex();
}

/// EGPTERASE 1 <sequence> <what> <time> <subject> <namespace or -> <user> <entries> <mac>
bool ErasureLedger::take_line(std::string_view line) {
  const size_t last = line.rfind(' ');
  const std::vector<std::string_view> words = words_of(line);
  if (words.size() != kFields || words[0] != kWord || words[1] != "1") return false;
  const std::string mac = mac_of(line.substr(0, last));
  // The chain goes on from what is written, so that one damaged line costs two lines at most.
  last_mac_ = words[9];
  Erasure read;
  uint64_t time = 0;
  base::Hash128 name_space;
  const bool has_namespace = words[6] != "-";
  if (mac != words[9] || !parse_number(words[2], read.sequence) || !parse_number(words[4], time) ||
      !parse_hash(words[5], read.subject) || (has_namespace && !parse_hash(words[6], name_space)) ||
      !parse_hash(words[7], read.user) || !parse_number(words[8], read.entries))
    return false;
  read.time_ms = static_cast<int64_t>(time);
  if (has_namespace) read.name_space = name_space;
  sequence_ = std::max(sequence_, read.sequence);
  if (words[3] == "begin") {
    apply(read);
  } else if (words[3] == "done") {
    for (Erasure& one : erasures_) {
      if (one.sequence != read.sequence) continue;
      one.is_done = true;
      one.entries = read.entries;
    }
  } else {
    needs_replay_ = words[3] == "restored";
  }
  return true;
}

void ErasureLedger::apply(const Erasure& erasure) {
  by_subject_[erasure.subject].push_back(erasures_.size());
  erasures_.push_back(erasure);
}

Result<void> ErasureLedger::append(std::string_view what, const Erasure& erasure) {
  std::string line = fmt::format(
      "{} 1 {} {} {} {} {} {} {}", kWord, erasure.sequence, what, erasure.time_ms, erasure.subject.hex(),
      erasure.name_space ? erasure.name_space->hex() : std::string("-"), erasure.user.hex(), erasure.entries);
  const std::string mac = mac_of(line);
  line += " " + mac + "\n";
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(fd_) != 0) {
    const int reason = errno;
    if (::ftruncate(fd_, before) != 0) base::log_error("{} cannot be cut back", path_);
    return fail(ErrorCode::kIo,
                fmt::format("the erasure ledger {} cannot be written: {}", path_, std::strerror(reason)));
  }
  last_mac_ = mac;
  return {};
}

Result<Erasure> ErasureLedger::begin(Erasure wanted) {
  const std::lock_guard lock(mutex_);
  wanted.sequence = sequence_ + 1;
  EGPTC_TRY_VOID(append("begin", wanted));
  ++sequence_;
  apply(wanted);
  return wanted;
}

Result<void> ErasureLedger::finish(uint64_t sequence, uint64_t entries) {
  const std::lock_guard lock(mutex_);
  for (Erasure& one : erasures_) {
    if (one.sequence != sequence || one.is_done) continue;
    Erasure done = one;
    done.entries = entries;
    EGPTC_TRY_VOID(append("done", done));
    one.is_done = true;
    one.entries = entries;
  }
  return {};
}

Result<void> ErasureLedger::note_restore() {
  const std::lock_guard lock(mutex_);
  Erasure note;
  note.sequence = sequence_;
  note.time_ms = base::system_clock().wall_ms();
  EGPTC_TRY_VOID(append("restored", note));
  needs_replay_ = true;
  return {};
}

Result<void> ErasureLedger::note_replay() {
  const std::lock_guard lock(mutex_);
  if (!needs_replay_) return {};
  Erasure note;
  note.sequence = sequence_;
  note.time_ms = base::system_clock().wall_ms();
  EGPTC_TRY_VOID(append("replayed", note));
  needs_replay_ = false;
  return {};
}

Result<void> ErasureLedger::merge(const ErasureLedger& other) {
  for (const Erasure& theirs : other.all()) {
    bool is_known = false;
    for (const Erasure& ours : all())
      is_known = is_known || (ours.subject == theirs.subject && ours.name_space == theirs.name_space &&
                              ours.time_ms >= theirs.time_ms);
    if (is_known) continue;
    EGPTC_TRY(const Erasure taken, begin(theirs));
    if (theirs.is_done) EGPTC_TRY_VOID(finish(taken.sequence, theirs.entries));
  }
  return {};
}

bool ErasureLedger::covers(const base::Hash128& subject, const base::Hash128& name_space,
                           int64_t created_ms) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_subject_.find(subject);
  if (found == by_subject_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](size_t i) {
    const Erasure& one = erasures_[i];
    return created_ms <= one.time_ms && (!one.name_space || *one.name_space == name_space);
  });
}

bool ErasureLedger::empty() const {
  const std::lock_guard lock(mutex_);
  return erasures_.empty();
}

std::vector<Erasure> ErasureLedger::all() const {
  const std::lock_guard lock(mutex_);
  return erasures_;
}

std::vector<Erasure> ErasureLedger::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<Erasure> pending;
  for (const Erasure& one : erasures_)
    if (!one.is_done || needs_replay_) pending.push_back(one);
  return pending;
}

}  // namespace enhanced_gptcache::vault
