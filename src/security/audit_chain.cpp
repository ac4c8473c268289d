#include "security/audit_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/canonical_json.h"
#include "base/hmac.h"
#include "base/sha256.h"
#include "base/small_file.h"

namespace enhanced_gptcache::security {
namespace {

using nlohmann::json;

constexpr std::string_view kHashField = R"(,"hash":")";
constexpr size_t kHashDigits = 64;
constexpr size_t kTailBytes = kHashField.size() + kHashDigits + 2;  // and "}
constexpr size_t kTextBytesMax = 1024;
constexpr size_t kFileBytesMax = size_t{2} << 30U;
constexpr size_t kProblemsMax = 100;

std::string text(std::string_view value) {
  return base::json_string(base::repair_utf8(value.substr(0, kTextBytesMax)));
}

std::string time_text(int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[32];
  const size_t size = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(buffer, size), wall_ms % 1000);
}

std::string mac_of(const AuditHead& head, const base::SecretKey& key) {
  const base::HmacSha256 hmac({reinterpret_cast<const char*>(key.data()), key.size()});
  return base::to_hex(hmac.compute("egptc audit head v1:", fmt::format("{}:{}:{}:{}", head.seq, head.hash,
                                                                       head.first_seq, head.first_prev)));
}

tl::unexpected<Error> corrupt(std::string message) { return fail(ErrorCode::kCorrupt, std::move(message)); }

/// Walks the lines of all files and compares each with what it must follow.
class Verification {
 public:
  explicit Verification(AuditReport& report) : report_(report) {}

  void begin_at(const AuditHead& head) {
    expected_seq_ = head.first_seq;
    expected_prev_ = head.first_prev;
    known_ = true;
  }

  void file(const std::string& name, std::string_view content) {
    size_t number = 0;
    while (!content.empty()) {
      const size_t end = content.find('\n');
      ++number;
      if (end == content.npos) {
        // The writer of a running server may be in the middle of it; only the head can tell a cut.
        incomplete_ = fmt::format("{}:{}: the last line is cut off", name, number);
        return;
      }
      line(fmt::format("{}:{}", name, number), content.substr(0, end));
      content.remove_prefix(end + 1);
    }
  }

  void end_at(const AuditHead& head) {
    if (report_.last_seq < head.seq) {
      if (!incomplete_.empty()) problem(incomplete_);
      problem(fmt::format("lines {} to {} are missing at the end", report_.last_seq + 1, head.seq));
    } else if (head.seq > 0 && hash_at_head_ != head.hash) {
      problem(fmt::format("line {} is not the one the head of the chain names", head.seq));
    }
  }

  void watch_for(const AuditHead& head) { head_seq_ = head.seq; }

  void problem(std::string message) {
    if (report_.problems.size() < kProblemsMax) report_.problems.push_back(std::move(message));
  }

 private:
  void line(const std::string& where, std::string_view content) {
    ++report_.lines;
    const auto place = read_audit_place(content);
    if (!place) {
      problem(fmt::format("{}: {}", where, place.error().message));
      // What it was cannot be known; the next line is held against its number only.
      ++expected_seq_;
      expected_prev_.clear();
      return;
    }
    if (report_.first_seq == 0) report_.first_seq = place->seq;
    if (known_ && place->seq != expected_seq_) {
      problem(fmt::format("{}: line {} stands where line {} belongs (removed, added or reordered)", where,
                          place->seq, expected_seq_));
    } else if (known_ && !expected_prev_.empty() && place->prev != expected_prev_) {
      problem(fmt::format("{}: line {} does not continue the line before it", where, place->seq));
    }
    known_ = true;
    expected_seq_ = place->seq + 1;
    expected_prev_ = place->hash;
    report_.last_seq = std::max(report_.last_seq, place->seq);
    if (place->seq == head_seq_) hash_at_head_ = place->hash;
  }

  AuditReport& report_;
  bool known_ = false;
  uint64_t expected_seq_ = 0;
  std::string expected_prev_;
  uint64_t head_seq_ = 0;
  std::string hash_at_head_;
  std::string incomplete_;
};

}  // namespace

std::string audit_root() { return std::string(kHashDigits, '0'); }

std::string audit_line(const AuditEvent& event, uint64_t seq, int64_t wall_ms, std::string_view prev,
                       std::string& hash) {
  std::string line = fmt::format(
      R"({{"seq":{},"time":"{}","event":{},"actor":{},"role":{},"address":{},"method":{},)"
      R"("path":{},"status":{},"detail":{},"prev":"{}")",
      seq, time_text(wall_ms), text(event.event), text(event.actor), text(event.role), text(event.address),
      text(event.method), text(event.path), event.status, text(event.detail), prev);
  hash = base::to_hex(base::sha256(line));
  line += kHashField;
  return line + hash + "\"}";
}

Result<AuditPlace> read_audit_place(std::string_view line) {
  if (line.size() < kTailBytes || line.substr(line.size() - kTailBytes, kHashField.size()) != kHashField)
    return corrupt("no line of an audit log");
  const std::string_view hashed = line.substr(0, line.size() - kTailBytes);
  AuditPlace place;
  place.hash = line.substr(line.size() - kHashDigits - 2, kHashDigits);
  if (base::to_hex(base::sha256(hashed)) != place.hash) return corrupt("the line was changed");
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.value("seq", json()).is_number_unsigned() ||
      !parsed.value("prev", json()).is_string())
    return corrupt("no line of an audit log");
  place.seq = parsed["seq"].get<uint64_t>();
  place.prev = parsed["prev"].get<std::string>();
  return place;
}

std::string audit_head_text(const AuditHead& head, const base::SecretKey& key) {
  return json{{"seq", head.seq},
              {"hash", head.hash},
              {"first_seq", head.first_seq},
              {"first_prev", head.first_prev},
              {"mac", mac_of(head, key)}}
             .dump() +
         "\n";
}

Result<AuditHead> read_audit_head(std::string_view text, const base::SecretKey& key) {
  const json parsed = json::parse(text, nullptr, false);
  AuditHead head;
  const bool valid =
      parsed.is_object() && parsed.value("seq", json()).is_number_unsigned() &&
      parsed.value("first_seq", json()).is_number_unsigned() && parsed.value("hash", json()).is_string() &&
      parsed.value("first_prev", json()).is_string() && parsed.value("mac", json()).is_string();
  if (!valid) return corrupt("the head of the chain is damaged");
  head.seq = parsed["seq"].get<uint64_t>();
  head.hash = parsed["hash"].get<std::string>();
  head.first_seq = parsed["first_seq"].get<uint64_t>();
  head.first_prev = parsed["first_prev"].get<std::string>();
  if (!base::equal_in_constant_time(mac_of(head, key), parsed["mac"].get<std::string>()))
    return corrupt("the head of the chain was not made by this installation");
  return head;
}

std::vector<std::string> audit_files(const std::string& audit_folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(audit_folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("audit-") && name.ends_with(".jsonl")) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());  // the numbers in the names have one width
  const std::string current = audit_folder + "/audit.jsonl";
  if (std::filesystem::exists(current, error)) files.push_back(current);
  return files;
}

Result<AuditReport> verify_audit(const std::string& storage_folder, const base::SecretKey& key) {
  const std::string folder = storage_folder + "/audit";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    return fail(ErrorCode::kNotFound, fmt::format("there is no audit log in {}", storage_folder));
  AuditReport report;
  Verification check(report);
  // The head first: a server that writes meanwhile moves it forward only after the lines.
  Result<AuditHead> head = corrupt("the head of the chain is missing");
  if (const auto text = base::read_small_file(folder + "/head.json", size_t{1} << 16U))
    head = read_audit_head(*text, key);
  if (head) {
    check.begin_at(*head);
    check.watch_for(*head);
  } else {
    check.problem("head.json: " + head.error().message);
  }
  for (const std::string& path : audit_files(folder)) {
    EGPTC_TRY(const std::string content, base::read_small_file(path, kFileBytesMax));
    ++report.files;
    check.file(std::filesystem::path(path).filename().string(), content);
  }
  if (head) check.end_at(*head);
  return report;
}

}  // namespace enhanced_gptcache::security
