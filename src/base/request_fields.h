#pragma once
// What the headers and query parameters of a request mean to a cache that serves many callers: which may
// tell callers apart, which may change an answer, which may go to any provider. Default-deny: a header
// this table has not heard of is taken for a credential as far as sharing goes. docs/exact-key.md,
// section "Tenant", says the same in prose.

#include <string>
#include <string_view>

namespace enhanced_gptcache::base {

/// What every key issued by this product starts with.
inline constexpr std::string_view kOwnKeyPrefix = "egptc_";

enum class HeaderClass {
  kSecret,    ///< a credential: tells tenants apart, goes to the default upstream only
  kAccount,   ///< chooses an account without proving anything: like a credential, but none
  kUnlisted,  ///< not in the table: may be a credential, so treated like an account choice
  kMeaning,   ///< changes answers: part of the key, goes to every upstream
  kNeutral,   ///< about transport, tracing or the client's library: in no key, goes to every upstream
  kPrivate,   ///< about the caller's way here (addresses, cookies): in no key, default upstream only
  kLocal,     ///< for this hop or for the cache: goes nowhere
};

/// Thread rule of all functions here: any thread. Header names in any case.
HeaderClass header_class(std::string_view name);
/// Does the value of such a header make a tenant?
bool separates_tenants(HeaderClass header);
/// May such a header be sent to a provider other than the default one?
bool may_go_to_any_provider(HeaderClass header);

/// Is this query parameter (in any case, percent-encoded or not) a carrier of a credential?
bool is_credential_parameter(std::string_view name);
/// `query` ("a=1&key=...") without credential parameters, or without those that hold a key of ours only;
/// the rest stays as written.
std::string without_credentials(std::string_view query);
std::string without_own_keys(std::string_view query);

/// %XX decoded once; a broken escape is kept as it stands. '+' stays.
std::string percent_decoded(std::string_view text);
/// Is a key of ours in `value`, after any scheme or separator ("Bearer egptc_...", "k=egptc_..."), also when
/// it is percent-encoded, up to three times?
bool holds_own_key(std::string_view value);

}  // namespace enhanced_gptcache::base
