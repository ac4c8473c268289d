#include "security/key_file.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "base/small_file.h"
#include "security/api_key.h"

namespace enhanced_gptcache::security {
namespace {

using nlohmann::json;
constexpr int kFileVersion = 1;

json public_fields(const KeyRecord& record) {
  const KeyWish& wish = record.wish;
  return {{"prefix", record.prefix},         {"name", wish.name},
          {"role", to_string(wish.role)},    {"tenant", wish.tenant},
          {"scopes", wish.scopes},           {"namespaces", wish.namespaces},
          {"controls", wish.controls},       {"trusted", wish.trusted},
          {"created_ms", record.created_ms}, {"rotated_ms", record.rotated_ms},
          {"expires_ms", wish.expires_ms},   {"revoked_ms", record.revoked_ms},
          {"source", record.source}};
}

/// Reads one record; `wrong` names the field that is missing or of another kind.
class RecordReader {
 public:
  explicit RecordReader(const json& from) : from_(from) {}

  void text(const char* name, std::string& into) {
    const auto found = from_.find(name);
    if (found == from_.end() || !found->is_string()) return note(name);
    into = found->get<std::string>();
  }
  void number(const char* name, int64_t& into) {
    const auto found = from_.find(name);
    if (found == from_.end() || !found->is_number_integer()) return note(name);
    into = found->get<int64_t>();
  }
  void flag(const char* name, bool& into) {
    const auto found = from_.find(name);
    if (found == from_.end() || !found->is_boolean()) return note(name);
    into = found->get<bool>();
  }
  void texts(const char* name, std::vector<std::string>& into) {
    const auto found = from_.find(name);
    if (found == from_.end() || !found->is_array()) return note(name);
    for (const json& item : *found) {
      if (!item.is_string()) return note(name);
      into.push_back(item.get<std::string>());
    }
  }
  void note(std::string_view name) {
    if (wrong_.empty()) wrong_ = name;
  }
  const std::string& wrong() const { return wrong_; }

 private:
  const json& from_;
  std::string wrong_;
};

KeyRecord read_record(RecordReader& reader) {
  KeyRecord record;
  std::string role;
  reader.text("prefix", record.prefix);
  reader.text("name", record.wish.name);
  reader.text("role", role);
  reader.text("tenant", record.wish.tenant);
  reader.texts("scopes", record.wish.scopes);
  reader.texts("namespaces", record.wish.namespaces);
  reader.texts("controls", record.wish.controls);
  reader.flag("trusted", record.wish.trusted);
  reader.number("created_ms", record.created_ms);
  reader.number("rotated_ms", record.rotated_ms);
  reader.number("expires_ms", record.wish.expires_ms);
  reader.number("revoked_ms", record.revoked_ms);
  reader.text("source", record.source);
  reader.text("hash", record.hash);
  reader.text("old_hash", record.old_hash);
  reader.number("old_until_ms", record.old_until_ms);
  base::Sha256 ignored{};
  const bool prefix = record.prefix.size() == kKeyPrefixDigits &&
                      record.prefix.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!prefix) reader.note("prefix");
  if (const auto known = parse_role(role)) {
    record.wish.role = *known;
  } else {
    reader.note("role");
  }
  if (!check_tenant_name(record.wish.tenant)) reader.note("tenant");
  if (!parse_scopes(record.wish.scopes)) reader.note("scopes");
  if (!parse_controls(record.wish.controls)) reader.note("controls");
  if (!parse_sha256(record.hash, ignored)) reader.note("hash");
  if (!record.old_hash.empty() && !parse_sha256(record.old_hash, ignored)) reader.note("old_hash");
  return record;
}

tl::unexpected<Error> damaged(const std::string& path, const std::string& what) {
  return fail(ErrorCode::kCorrupt,
              fmt::format("{} is damaged ({}); restore it from a backup, or remove it and make new keys",
                          path, what));
}

}  // namespace

bool parse_sha256(std::string_view hex, base::Sha256& out) {
  if (hex.size() != 2 * out.size() || hex.find_first_not_of("0123456789abcdef") != hex.npos) return false;
  for (size_t i = 0; i < out.size(); ++i)
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, out[i], 16);
  return true;
}

Result<std::vector<KeyRecord>> read_key_file(const std::string& path) {
  auto text = base::read_private_file(path, kKeyFileBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::vector<KeyRecord>{};
  if (!text) return fail(std::move(text).error());
  const json root = json::parse(*text, nullptr, false);
  if (!root.is_object() || root.value("version", json()) != kFileVersion || !root.contains("keys") ||
      !root["keys"].is_array())
    return damaged(path, fmt::format("no object of version {} with a list of keys", kFileVersion));
  std::vector<KeyRecord> records;
  std::set<std::string> prefixes;
  for (const json& one : root["keys"]) {
    RecordReader reader(one);
    if (!one.is_object()) return damaged(path, fmt::format("keys[{}] is no object", records.size()));
    KeyRecord record = read_record(reader);
    if (reader.wrong().empty() && !prefixes.insert(record.prefix).second) reader.note("prefix");
    if (!reader.wrong().empty())
      return damaged(path, fmt::format("keys[{}].{}", records.size(), reader.wrong()));
    records.push_back(std::move(record));
  }
  return records;
}

std::string key_file_text(const std::vector<KeyRecord>& records) {
  json keys = json::array();
  for (const KeyRecord& record : records) {
    json one = public_fields(record);
    one["hash"] = record.hash;
    one["old_hash"] = record.old_hash;
    one["old_until_ms"] = record.old_until_ms;
    keys.push_back(std::move(one));
  }
  return json{{"version", kFileVersion}, {"keys", std::move(keys)}}.dump(1) + "\n";
}

std::string key_json(const KeyRecord& record, int64_t now_ms) {
  json out = public_fields(record);
  const bool expired = record.wish.expires_ms != 0 && record.wish.expires_ms <= now_ms;
  out["state"] = record.revoked_ms != 0 ? "revoked" : expired ? "expired" : "active";
  return out.dump();
}

}  // namespace enhanced_gptcache::security
