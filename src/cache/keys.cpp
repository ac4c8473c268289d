#include "cache/keys.h"

#include <charconv>

#include "cache/eligibility.h"

namespace enhanced_gptcache::cache {
namespace {

constexpr std::string_view kHashedRequest = "hashed:";

std::string_view scope_user(const Prompt& prompt) {
  if (prompt.user.empty() || prompt.user_scoped) return prompt.user;
  const bool is_scoped = prompt.personal ? *prompt.personal : is_personal(prompt);
  return is_scoped ? std::string_view(prompt.user) : std::string_view();
}

}  // namespace

ScopedPrompt::ScopedPrompt(const Prompt& its_prompt) : prompt(its_prompt), user(scope_user(its_prompt)) {}

Keys::Keys(const base::SecretKey& secret, std::string_view model_epoch)
    : secret_(secret),
      exact_key_(base::derive_short_key(secret, "exact")),
      tenant_key_(base::derive_short_key(secret, "tenant")),
      tau_key_(base::derive_short_key(secret, "tau user")),
      // Of this process only: after a restart an older request id must not name another decision.
      request_key_(base::derive_short_key(base::random_key(), "request")),
      model_epoch_(model_epoch) {}

base::Hash128 Keys::exact(const ScopedPrompt& scoped) const {
  const Prompt& prompt = scoped.prompt;
  return base::short_hash(exact_key_, {prompt.tenant, prompt.name_space, prompt.model, prompt.dialect,
                                       prompt.canonical, scoped.user});
}

base::Hash128 Keys::partition(const ScopedPrompt& scoped) const {
  const Prompt& prompt = scoped.prompt;
  return base::keyed_hash(secret_, "partition",
                          {prompt.tenant, prompt.name_space, kPolicyEpoch, model_epoch_, prompt.model,
                           prompt.dialect, prompt.system, prompt.shape, scoped.user});
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

std::string Keys::hashed_request(std::string_view canonical) const {
  return std::string(kHashedRequest) + base::keyed_hash(secret_, "canonical request", {canonical}).hex();
}

bool is_hashed_request(std::string_view canonical) { return canonical.starts_with(kHashedRequest); }

bool is_same_request(const store::EntryView& entry, const ScopedPrompt& scoped, const Keys& keys) {
  const Prompt& prompt = scoped.prompt;
  using store::EntryText;
  const std::string_view canonical = entry.text(EntryText::kCanonical);
  const bool is_same = is_hashed_request(canonical) ? canonical == keys.hashed_request(prompt.canonical)
                                                    : canonical == prompt.canonical;
  return is_same && entry.text(EntryText::kTenant) == prompt.tenant &&
         entry.text(EntryText::kNamespace) == prompt.name_space &&
         entry.text(EntryText::kModel) == prompt.model && entry.text(EntryText::kDialect) == prompt.dialect &&
         entry.text(EntryText::kUser) == scoped.user;
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
