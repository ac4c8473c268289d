#include "cache/keys.h"

#include <algorithm>
#include <charconv>

#include "cache/eligibility.h"

namespace enhanced_gptcache::cache {

Keys::Keys(const base::SecretKey& secret, std::string_view model_epoch)
    : secret_(secret),
      exact_key_(base::derive_short_key(secret, "exact")),
      tenant_key_(base::derive_short_key(secret, "tenant")),
      tau_key_(base::derive_short_key(secret, "tau user")),
      // Of this process only: after a restart an older request id must not name another decision.
      request_key_(base::derive_short_key(base::random_key(), "request")),
      model_epoch_(model_epoch) {}

std::string_view scope_user(const Prompt& prompt) {
  if (prompt.user.empty() || prompt.user_scoped) return prompt.user;
  const auto is_own = [](const Turn& turn) { return turn.role == "user" && is_personal(turn.content); };
  const bool is_scoped =
      is_personal(prompt.query) || std::any_of(prompt.context.begin(), prompt.context.end(), is_own);
  return is_scoped ? std::string_view(prompt.user) : std::string_view();
}

base::Hash128 Keys::exact(const Prompt& prompt) const {
  return base::short_hash(exact_key_, {prompt.tenant, prompt.name_space, prompt.model, prompt.dialect,
                                       prompt.canonical, scope_user(prompt)});
}

base::Hash128 Keys::partition(const Prompt& prompt) const {
  return base::keyed_hash(secret_, "partition",
                          {prompt.tenant, prompt.name_space, kPolicyEpoch, model_epoch_, prompt.model,
                           prompt.dialect, prompt.system, prompt.shape, scope_user(prompt)});
}

base::Hash128 Keys::tenant(std::string_view tenant) const { return base::short_hash(tenant_key_, {tenant}); }

base::Hash128 Keys::name_space(std::string_view tenant, std::string_view name_space) const {
  return base::short_hash(tenant_key_, {tenant, name_space});
}

base::Hash128 Keys::request(std::string_view request_id) const {
  return base::short_hash(request_key_, {request_id});
}

std::string Keys::tau_user(std::string_view tenant, std::string_view user) const {
  const base::Hash128 hash = base::short_hash(tau_key_, {tenant, user});
  std::string bytes(sizeof hash, '\0');
  std::memcpy(bytes.data(), &hash.high, sizeof hash.high);
  std::memcpy(bytes.data() + sizeof hash.high, &hash.low, sizeof hash.low);
  return bytes;
}

uint64_t Keys::request_tag(uint64_t number) const {
  const std::string_view bytes(reinterpret_cast<const char*>(&number), sizeof number);
  return base::short_hash(request_key_, {bytes}).low;
}

bool is_same_request(const store::EntryView& entry, const Prompt& prompt) {
  using store::EntryText;
  return entry.text(EntryText::kCanonical) == prompt.canonical &&
         entry.text(EntryText::kTenant) == prompt.tenant &&
         entry.text(EntryText::kNamespace) == prompt.name_space &&
         entry.text(EntryText::kModel) == prompt.model && entry.text(EntryText::kDialect) == prompt.dialect &&
         entry.text(EntryText::kUser) == scope_user(prompt);
}

bool parse_hex128(std::string_view text, base::Hash128& hash) {
  if (text.size() != 32) return false;
  const auto parse = [](std::string_view digits, uint64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  return parse(text.substr(0, 16), hash.high) && parse(text.substr(16), hash.low);
}

}  // namespace enhanced_gptcache::cache
