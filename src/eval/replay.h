#pragma once
// One's own traffic through two configurations side by side: what a change of settings would do. No
// upstream is called; what a request missed is stored with the answer the log holds, or a stand-in.

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "eval/answer.h"
#include "eval/rows.h"

namespace enhanced_gptcache::eval {

/// One configuration.
struct ReplaySide {
  Options options;
  std::shared_ptr<const Embedder> embedder;
};

/// What one configuration did with one request.
struct ReplayOutcome {
  bool is_hit = false;
  bool is_exact = false;
  double similarity = 0;  ///< of the hit or the nearest entry
  std::string reason;     ///< of a miss
  size_t source = 0;      ///< of a hit: the request whose answer it is
};

struct SideReport {
  uint64_t hits = 0;
  uint64_t exact_hits = 0;
  /// Hits where both requests have a logged answer: is it the same text? Models rarely say the same twice,
  /// so only the difference between two sides tells something.
  uint64_t same_answer = 0;
  uint64_t other_answer = 0;
  std::map<std::string, uint64_t> miss_reasons;
};

enum class ChangeKind { kGained, kLost, kOther };
std::string_view to_string(ChangeKind kind);
struct ReplayChange {
  ChangeKind kind = ChangeKind::kGained;
  size_t request = 0;
  ReplayOutcome before, after;
};

struct ReplayReport {
  uint64_t requests = 0;
  SideReport before, after;
  std::array<uint64_t, 3> changed{};   ///< by ChangeKind
  std::vector<ReplayChange> examples;  ///< the first of each kind
};

/// Plays `rows` in their order. When rows have timestamps the caches' clock follows them (never backwards),
/// so that lifetimes count. At most `examples` changes of each kind are kept.
Result<ReplayReport> replay(const ReplaySide& before, const ReplaySide& after,
                            const std::vector<TrafficRow>& rows, size_t examples);

nlohmann::ordered_json to_json(const ReplayReport& report, const std::vector<TrafficRow>& rows);
std::string to_text(const ReplayReport& report, const std::vector<TrafficRow>& rows);

}  // namespace enhanced_gptcache::eval
