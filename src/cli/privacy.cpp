#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/vault_parts.h"
#include "base/small_file.h"
#include "cli/http_call.h"
#include "cli/privacy_commands.h"
#include "native/erasure.h"
#include "vault/receipt.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

constexpr size_t kReceiptBytesMax = size_t{1} << 20U;
/// All files of a large store are written anew.
constexpr int64_t kEraseTimeoutMs = 1'800'000;

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

Result<std::string> ask(const Common& common, const config::Settings& settings, const std::string& variable,
                        const char* method, const char* path, std::string body, int64_t timeout_ms = 30'000) {
  // Whose data is meant hangs on the key's tenant: /cache/erase and /cache/export take none but the one
  // named.
  EGPTC_TRY(http::Headers headers, std::string_view(path).starts_with("/admin")
                                       ? caller_credential(common, settings, variable, true)
                                       : credential_from(variable));
  const std::string url = server_url(common, settings);
  auto answer = http_call(url, method, path, std::move(body), std::move(headers), timeout_ms);
  if (!answer)
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("{} does not answer: {} (start the server: it does this)", url, answer.error().message));
  if (answer->status >= 300) {
    const ErrorCode code = answer->status == 400 ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable;
    return fail(code, error_text(*answer));
  }
  return std::move(answer->body);
}

json body_of(const SubjectArguments& wanted) {
  json body = {{"subject", wanted.subject}};
  if (wanted.has_namespace) body["namespace"] = wanted.name_space;
  return body;
}

std::string text_of(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

int verify_receipt(const config::Settings& settings, const SubjectArguments& wanted) {
  const auto text = base::read_small_file(wanted.receipt_file, kReceiptBytesMax);
  if (!text) return report(text.error());
  std::string public_key = wanted.public_key;
  if (public_key.empty()) {
    const auto key = app::read_instance_key(settings, settings.storage.path);
    if (key) public_key = vault::receipt_public_key(*key);
  }
  const auto receipt = native::check_receipt(*text, public_key);
  if (!receipt) return report(receipt.error());
  fmt::print("{}\n", *receipt);
  fmt::print(stderr, "{}\n",
             public_key.empty() ? "the signature holds; whose it is was not checked (--public-key)"
                                : "the signature of this installation holds");
  return 0;
}

int print(const Result<std::string>& answer) {
  if (!answer) return report(answer.error());
  fmt::print("{}\n", *answer);
  return 0;
}

}  // namespace

int erase(const Common& common, const SubjectArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  if (!wanted.receipt_file.empty()) return verify_receipt(loaded->settings, wanted);
  if (wanted.subject.empty()) return report({ErrorCode::kInvalidArgument, "--subject: is required"});
  return print(ask(common, loaded->settings, wanted.key_variable, "POST", "/cache/erase",
                   text_of(body_of(wanted)), kEraseTimeoutMs));
}

int export_subject(const Common& common, const SubjectArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  if (wanted.subject.empty()) return report({ErrorCode::kInvalidArgument, "--subject: is required"});
  json body = body_of(wanted);
  while (true) {
    const auto answer =
        ask(common, loaded->settings, wanted.key_variable, "POST", "/cache/export", text_of(body));
    if (!answer) return report(answer.error());
    const json page = json::parse(*answer, nullptr, false);
    if (!page.is_object() || !page.contains("entries"))
      return report({ErrorCode::kUnavailable, "something else answers there"});
    for (const json& entry : page["entries"]) fmt::print("{}\n", text_of(entry));
    if (page["next_cursor"].is_string()) {
      body["cursor"] = page["next_cursor"];
      continue;
    }
    if (page["learned_threshold"].is_number())
      fmt::print("{}\n", text_of({{"learned_threshold", page["learned_threshold"]}}));
    return 0;
  }
}

int encryption_status(const Common& common, const std::string& key_variable) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  return print(ask(common, loaded->settings, key_variable, "GET", "/admin/encryption", ""));
}

int encryption_rotate(const Common& common, const std::string& key_variable) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  return print(ask(common, loaded->settings, key_variable, "POST", "/admin/encryption/rotate", ""));
}

}  // namespace enhanced_gptcache::cli
