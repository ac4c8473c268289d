#pragma once
// The rows of settings.def as data: what the parser, the checks, the docs and the tests walk over.

#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "config/settings.h"

namespace enhanced_gptcache::config {

enum class Type { kBool, kInt, kDouble, kText, kEnum, kList, kRoutes };
enum class Reload {
  kLive,     ///< a reload changes it for requests that start later
  kRestart,  ///< a reload keeps the running value and reports the difference
};
/// What a text must look like.
enum class Form { kAny, kUrl, kProxyUrl, kAddress, kNonEmpty, kCredential, kNetwork };

/// The field of one Settings a row stands for.
using Field = std::variant<Bool*, Int*, Double*, Text*, List*, Routes*>;

/// One row. Immutable; the views point to literals.
struct KeySpec {
  std::string_view section = {};
  std::string_view key = {};
  Type type = Type::kText;
  Reload reload = Reload::kRestart;
  std::string_view unit = {};
  std::string_view sentence = {};
  Field (*field)(Settings&) = nullptr;
  bool ranged = false;            ///< low and high count
  double low = 0, high = 0;       ///< both allowed
  std::string_view choices = {};  ///< of an enum or of the texts of a list, separated by spaces
  std::string_view later = {};    ///< values that are recognised and refused as not built yet
  Form form = Form::kAny;
  bool secret = false;             ///< the value is never printed
  bool secret_url = false;         ///< user:password of the URL is never printed
  bool secret_file = false;        ///< the file holds the value of the key without "_file"
  std::string_view variable = {};  ///< plain environment name, empty: none
  std::string_view profile = {};   ///< defaults of production, staging, development; empty: all the same

  std::string name() const { return std::string(section) + "." + std::string(key); }
  /// EGPTC_CACHE__SIZE_MB for cache.size_mb.
  std::string environment_name() const;
};

struct SectionSpec {
  std::string_view name;
  bool required = false;  ///< must be in a file, after inheritance
  std::string_view sentence;
};

/// A name of the contract whose feature is not built yet; key "*": any key of the section.
struct LaterSpec {
  std::string_view section;
  std::string_view key;
  std::string_view sentence;
};

/// In the order of settings.def. Thread rule: constants.
std::span<const SectionSpec> sections();
std::span<const KeySpec> keys();
std::span<const LaterSpec> later_keys();

inline constexpr size_t kNoKey = static_cast<size_t>(-1);
/// Index into keys() of "section.key", or kNoKey.
size_t find_key(std::string_view name);
/// The row of a name that is recognised but not built yet, or null.
const LaterSpec* find_later(std::string_view section, std::string_view key);
/// The known "section.key" nearest to `name`.
std::string nearest_key(std::string_view name);
/// "one of lru", "0 to 1", "true or false"...: the allowed values, for messages and docs.
std::string allowed_values(const KeySpec& spec);
std::string_view type_name(Type type);

/// The whole table as a JSON list: {name, type, default, min, max, choices, later, unit, reload,
/// secret, environment, variable, sentence}. For `validate-config --print`, docs and tests.
std::string settings_table_json();

}  // namespace enhanced_gptcache::config
