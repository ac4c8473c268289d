#pragma once
// The text of the audit log: one line, its place in the chain, the end of the chain, and the check of it all.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::security {

/// One thing that happened. No prompts, answers, keys or secrets in any field.
struct AuditEvent {
  std::string event;  ///< "access.refused", "limit.refused", "admin", "server.start", ...
  std::string actor;  ///< identity id; "local" while security is off; empty: unknown
  std::string role;
  std::string address;  ///< of the caller
  std::string method;
  std::string path;  ///< without the query
  int status = 0;    ///< of the answer; 0: none
  std::string detail;
  bool is_refusal = false;  ///< may be suppressed when there are very many
};

/// The end of the chain, and where what is kept of it begins.
struct AuditHead {
  uint64_t seq = 0;        ///< of the newest line; 0: none yet
  std::string hash;        ///< of the newest line
  uint64_t first_seq = 1;  ///< of the oldest line that is kept
  std::string first_prev;  ///< its `prev`
};
/// 64 zeros: before the first line there is nothing.
std::string audit_root();

/// The line of an event, without its line break; `hash` is set to its own.
std::string audit_line(const AuditEvent& event, uint64_t seq, int64_t wall_ms, std::string_view prev,
                       std::string& hash);
/// What a line says about its place, checked against its own text. kCorrupt: its hash is not that of its
/// text.
struct AuditPlace {
  uint64_t seq = 0;
  std::string prev, hash;
};
Result<AuditPlace> read_audit_place(std::string_view line);

std::string audit_head_text(const AuditHead& head, const base::SecretKey& key);
/// kCorrupt: not made under this key, or damaged.
Result<AuditHead> read_audit_head(std::string_view text, const base::SecretKey& key);

/// Rotated files oldest first, then the current one; empty when there is no folder.
std::vector<std::string> audit_files(const std::string& audit_folder);

struct AuditReport {
  size_t files = 0;
  uint64_t lines = 0, first_seq = 0, last_seq = 0;
  std::vector<std::string> problems;  ///< "audit.jsonl:12: ..."; empty: the chain holds
};
/// Reads everything under `<storage folder>/audit`. May run beside a server that writes. kNotFound: nothing
/// there; kIo.
Result<AuditReport> verify_audit(const std::string& storage_folder, const base::SecretKey& key);

}  // namespace enhanced_gptcache::security
