#pragma once
// Log lines that have fields, and whether lines are text or JSON. The log itself: base/log.h.

#include <concepts>
#include <initializer_list>
#include <string_view>

namespace enhanced_gptcache::base {

/// Any thread; from the next line on. JSON: one object a line (RFC 8259) with time, level and message, or
/// with event and its fields. Default: text.
void set_log_json(bool json);

/// A value of an event: text, a truth value, or a number with so many decimals. Views live as long as the
/// call.
struct LogField {
  LogField(std::string_view field, std::string_view value) : name(field), text(value) {}
  /// Of bool alone: a pointer to characters would rather become one than a view.
  template <std::same_as<bool> Bool>
  LogField(std::string_view field, Bool value) : name(field), text(value ? "true" : "false"), is_bool(true) {}
  LogField(std::string_view field, double value, int decimals)
      : name(field), number(value), digits(decimals) {}

  std::string_view name;
  std::string_view text;
  double number = 0;
  int digits = -1;  ///< of `number`; negative: it is text
  bool is_bool = false;
};

/// Any thread; an info line: "event name=value ...", where - is an empty text and a value with anything but
/// visible ASCII in it, or with = or quotes, stands in quotes as a JSON string (so that no value reads as
/// further fields or as another line), or as JSON an object with a member for each field.
void log_event(std::string_view event, std::initializer_list<LogField> fields);

}  // namespace enhanced_gptcache::base
