#include "native/erasure.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/canonical_json.h"
#include "native/requests.h"
#include "vault/receipt.h"

namespace enhanced_gptcache::native {
namespace {

using nlohmann::json;
constexpr size_t kSubjectBytesMax = 256;  // as when it is stored

std::string read_subject(Body& body) {
  std::string subject = body.required_text("subject", kSubjectBytesMax);
  if (subject.empty() && body.has("subject")) body.reject("subject", "must not be empty");
  return subject;
}

std::string iso_time(int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(text, size), wall_ms % 1000);
}

std::string about_backups(const ErasedSubject& erased, const EncryptionStats& encryption) {
  if (!encryption.is_on)
    return "encryption at rest is off: backup files made before still hold the removed entries until they "
           "are deleted; a restore of one of them removes the entries again";
  const std::string plain =
      "backup files made before encryption at rest was on hold the subject in clear until they are deleted; "
      "a "
      "restore of an older backup removes the entries again";
  if (erased.died_with_keys)
    return "what backups made with encryption hold of the subject was sealed by the subject's own keys, "
           "which "
           "are destroyed; " +
           plain;
  if (erased.data_keys > 0)
    return "what was sealed by the subject's own keys, which are destroyed, cannot be opened any more; what "
           "was "
           "sealed by the master key can be, in older backup files; " +
           plain;
  return "the subject had no key of its own to be destroyed: what older backup files hold of it can be "
         "opened "
         "with the master key; " +
         plain;
}

json receipt_of(const SubjectCall& call, const std::string& tenant, const ErasedSubject& erased,
                const EncryptionStats& encryption) {
  json receipt = {
      {"version", 1},
      {"product", "enhanced-gptcache " EGPTC_VERSION},
      {"tenant", tenant},
      {"subject", call.subject},
      {"namespace", nullptr},
      {"requested_at", iso_time(erased.requested_ms)},
      {"completed_at", iso_time(erased.completed_ms)},
      {"ledger_sequence", erased.ledger_sequence},
      {"removed",
       {{"entries", erased.entries}, {"learned_thresholds", erased.taus}, {"data_keys", erased.data_keys}}},
      {"files_rewritten", erased.is_stored},
      {"encryption", encryption.is_on},
      {"entries_without_data_key", erased.without_data_key},
      {"older_backups", about_backups(erased, encryption)}};
  if (call.name_space) receipt["namespace"] = *call.name_space;
  return receipt;
}

Result<std::string> canonical(const json& receipt) {
  return base::canonical_json(receipt.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace

SubjectCall read_erase(Body& body, const Caller& caller) {
  SubjectCall call;
  call.subject = read_subject(body);
  call.name_space = read_flush_namespace(body, caller);
  return call;
}

SubjectCall read_export(Body& body, const Caller& caller, const NativeOptions& options) {
  SubjectCall call = read_erase(body, caller);
  const auto limit = body.integer("limit", 1, static_cast<int64_t>(options.list_limit_max));
  if (limit) call.limit = static_cast<size_t>(*limit);
  call.cursor = body.text("cursor", kSubjectBytesMax).value_or("");
  return call;
}

std::string receipt_json(const SubjectCall& call, const std::string& tenant, const ErasedSubject& erased,
                         const EncryptionStats& encryption, const base::SecretKey& instance_key) {
  const json receipt = receipt_of(call, tenant, erased, encryption);
  const auto text = canonical(receipt);
  const vault::Signature signature = vault::sign_receipt(instance_key, text ? *text : std::string());
  const json signed_receipt = {
      {"receipt", receipt}, {"public_key", signature.public_key}, {"signature", signature.value}};
  return signed_receipt.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::string> check_receipt(std::string_view text, std::string_view public_key) {
  const json root = json::parse(text, nullptr, false);
  const auto text_of = [&root](const char* name) {
    return root.contains(name) && root[name].is_string() ? root[name].get<std::string>() : std::string();
  };
  if (!root.is_object() || !root.contains("receipt") || !root["receipt"].is_object())
    return fail(ErrorCode::kInvalidArgument,
                "it is no receipt: {\"receipt\", \"public_key\", \"signature\"}");
  const std::string named = text_of("public_key");
  if (!public_key.empty() && public_key != named)
    return fail(ErrorCode::kCorrupt, "the receipt was signed by another instance: " + named);
  EGPTC_TRY(const std::string plain, canonical(root["receipt"]));
  if (!vault::verify_receipt({named, text_of("signature")}, plain))
    return fail(ErrorCode::kCorrupt, "the signature does not match: the receipt was changed or is not ours");
  return plain;
}

}  // namespace enhanced_gptcache::native
