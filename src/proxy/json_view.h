#pragma once
// Walking a JSON text without building a tree. The text must be known to be valid (it went through
// base::canonical_json or was written by us); blanks between tokens are allowed. The fast path reads
// a request and splices an answer with these cursors, so it allocates nothing here.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace enhanced_gptcache::proxy {

/// What a value is, by its first character.
enum class JsonKind { kObject, kArray, kString, kTrue, kFalse, kNull, kNumber };
JsonKind json_kind(std::string_view value);

/// The members of an object in the order they are written. Views point into the text.
class MemberCursor {
 public:
  /// `object` starts with '{', blanks before it allowed; anything else has no members.
  explicit MemberCursor(std::string_view object);
  bool next();
  /// As written, without quotes, escapes kept.
  std::string_view raw_key() const { return key_; }
  bool key_is(std::string_view name) const;
  std::string_view value() const { return value_; }
  /// Offsets in the text given: from the opening quote of the key to the end of the value.
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }

 private:
  std::string_view text_;
  std::string_view key_;
  std::string_view value_;
  size_t at_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

/// The elements of an array in order.
class ElementCursor {
 public:
  explicit ElementCursor(std::string_view array);
  bool next();
  std::string_view value() const { return value_; }

 private:
  std::string_view text_;
  std::string_view value_;
  size_t at_ = 0;
};

/// Value of the member `name` of an object; nullopt when there is none.
std::optional<std::string_view> find_member(std::string_view object, std::string_view name);
/// The text a JSON string stands for; empty for any other value.
std::string json_text(std::string_view value);
/// Brackets open at once, at most; counts quickly, so that a hostile document never reaches a recursive
/// reader.
size_t json_depth(std::string_view text);
/// nullopt for anything but a number.
std::optional<double> json_number(std::string_view value);

}  // namespace enhanced_gptcache::proxy
