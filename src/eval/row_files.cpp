// Files of rows, and the times they carry.

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>

#include "eval/rows.h"

namespace enhanced_gptcache::eval {
namespace {

template <typename Row>
Result<Rows<Row>> read_rows(const std::string& path, size_t limit, Result<Row> (*parse)(std::string_view)) {
  Rows<Row> rows;
  rows.path = path;
  rows.name = name_of(path);
  auto lines = read_lines(path, limit, [&](std::string_view line) -> Result<void> {
    EGPTC_TRY(Row row, parse(line));
    rows.rows.push_back(std::move(row));
    return {};
  });
  if (!lines) return fail(std::move(lines).error());
  rows.lines = std::move(*lines);
  if (!rows.rows.empty()) return rows;
  const auto& skipped = rows.lines.first_skipped;
  return fail(ErrorCode::kInvalidArgument,
              skipped.empty()
                  ? fmt::format("{} is empty", path)
                  : fmt::format("{} has no usable row among {}; line {}: {}", path, rows.lines.skipped,
                                skipped.front().line, skipped.front().reason));
}

/// Reads `digits` digits.
bool take_number(std::string_view& text, size_t digits, int& value) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value < 0) return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// ".250" and the like, in milliseconds; further digits are cut.
int take_fraction_ms(std::string_view& text) {
  if (!take(text, ".,")) return 0;
  int ms = 0;
  int scale = 100;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), scale /= 10)
    ms += (text.front() - '0') * scale;
  return ms;
}

/// "Z", nothing, "+01:00", "-0530": minutes east of UTC.
std::optional<int> take_offset_minutes(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0;
  const int sign = text.front() == '-' ? -1 : 1;
  int hours = 0;
  int minutes = 0;
  if (!take(text, "+-") || !take_number(text, 2, hours)) return std::nullopt;
  take(text, ":");
  if (!text.empty() && !take_number(text, 2, minutes)) return std::nullopt;
  if (!text.empty() || hours > 14 || minutes > 59) return std::nullopt;
  return sign * (hours * 60 + minutes);
}

std::optional<int64_t> parse_iso_ms(std::string_view text) {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  const bool is_shaped = take_number(text, 4, year) && take(text, "-") && take_number(text, 2, month) &&
                         take(text, "-") && take_number(text, 2, day) && take(text, "Tt ") &&
                         take_number(text, 2, hour) && take(text, ":") && take_number(text, 2, minute) &&
                         take(text, ":") && take_number(text, 2, second);
  if (!is_shaped || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  const int ms = take_fraction_ms(text);
  const std::optional<int> offset = take_offset_minutes(text);
  if (!offset) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + hour) * 60 + minute - *offset) * 60'000 + second * 1000 + ms;
}

}  // namespace

std::optional<int64_t> parse_time_ms(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return parse_iso_ms(text);
  // Seconds until the year 5138; anything larger can only be milliseconds.
  constexpr double kSecondsMax = 1e11;
  constexpr double kMillisecondsMax = 1e14;
  if (!(number >= 0 && number < kMillisecondsMax)) return std::nullopt;
  return std::llround(number < kSecondsMax ? number * 1000 : number);
}

std::string name_of(std::string_view path) {
  std::string_view name = path.substr(path.rfind('/') + 1);
  return std::string(name.substr(0, name.find('.', 1)));
}

Result<Rows<PairRow>> read_pairs(const std::string& path, size_t limit) {
  EGPTC_TRY(auto pairs, read_rows<PairRow>(path, limit, parse_pair));
  for (PairRow& pair : pairs.rows) {
    if (pair.kind.empty()) pair.kind = pairs.name;
  }
  return pairs;
}
Result<Rows<StreamRow>> read_stream(const std::string& path, size_t limit) {
  return read_rows<StreamRow>(path, limit, parse_stream);
}
Result<Rows<TrafficRow>> read_traffic(const std::string& path, size_t limit) {
  return read_rows<TrafficRow>(path, limit, parse_traffic);
}
Result<Rows<ShadowRow>> read_shadow(const std::string& path, size_t limit) {
  return read_rows<ShadowRow>(path, limit, parse_shadow);
}

Result<RowForm> form_of_file(const std::string& path) {
  RowForm form = RowForm::kUnknown;
  auto lines = read_lines(path, 1, [&](std::string_view line) -> Result<void> {
    form = form_of(line);
    if (form == RowForm::kUnknown) return fail(ErrorCode::kInvalidArgument, "no known fields");
    return {};
  });
  if (!lines) return fail(std::move(lines).error());
  return form;
}

}  // namespace enhanced_gptcache::eval
