#pragma once
// What evaluation files hold: one JSON object a line. Unknown fields are left alone, because data sets
// carry notes of their own; a field that is needed and missing or of the wrong type is an error with
// its name, and the line is skipped.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/result.h"
#include "eval/line_reader.h"

namespace enhanced_gptcache::eval {

/// A question and the conversation before it.
struct Question {
  std::string text;
  std::vector<Turn> history;
};

/// {"a", "b", "label", "kind"?}; a and b are texts or {"q", "history"}. Label 1: the answer to one is
/// right for the other.
struct PairRow {
  Question a;
  Question b;
  bool same = false;
  std::string kind;  ///< the file's name when the row names none
};

/// {"q", "cluster", "judged_not"?, "unjudged"?, "slot_free"?}: one question of a stream in its order. All
/// questions of a cluster have one answer.
struct StreamRow {
  std::string question;
  std::string cluster;
  std::vector<std::string> unjudged;  ///< clusters nobody compared with this one
  bool slot_free = true;              ///< false: the answer depends on more than the cluster
};

/// {"query", "context"?, "namespace"?, "model"?, "response"?, "timestamp"?}: one's own traffic.
struct TrafficRow {
  Question question;
  std::string name_space;
  std::string model = "default";
  std::optional<std::string> response;
  std::optional<int64_t> timestamp_ms;
};

/// {"similarity", "probability"?, "correct"}: a decision of shadow mode with its label.
struct ShadowRow {
  double similarity = 0;
  std::optional<double> probability;
  bool correct = false;
};

// kInvalidArgument: what is wrong, for the one who reads the file.
Result<PairRow> parse_pair(std::string_view line);
Result<StreamRow> parse_stream(std::string_view line);
Result<TrafficRow> parse_traffic(std::string_view line);
Result<ShadowRow> parse_shadow(std::string_view line);

/// What a line is, by its fields, for commands that take several.
enum class RowForm { kPair, kStream, kShadow, kUnknown };
RowForm form_of(std::string_view line);

/// Seconds or milliseconds since 1970, or "2026-11-23T05:09:28.250Z" (also with an offset "+01:00").
std::optional<int64_t> parse_time_ms(std::string_view text);

template <typename Row>
struct Rows {
  std::string path;
  std::string name;  ///< the file's name up to its first dot
  std::vector<Row> rows;
  LineOutcome lines;
};
/// kInvalidArgument: no usable row. The rest as read_lines().
Result<Rows<PairRow>> read_pairs(const std::string& path, size_t limit);
Result<Rows<StreamRow>> read_stream(const std::string& path, size_t limit);
Result<Rows<TrafficRow>> read_traffic(const std::string& path, size_t limit);
Result<Rows<ShadowRow>> read_shadow(const std::string& path, size_t limit);
/// Of the first line that is JSON.
Result<RowForm> form_of_file(const std::string& path);

/// "qqp_pairs" of "folder/qqp_pairs.dev.jsonl.gz".
std::string name_of(std::string_view path);

}  // namespace enhanced_gptcache::eval
