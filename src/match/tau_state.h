#pragma once
// What TauManager keeps over a restart, as versioned bytes with a checksum (docs/formats.md).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::match {

/// Longer names are kept as a hash: what callers send must not decide how much is remembered.
inline constexpr size_t kTauNameBytesMax = 128;
inline constexpr size_t kTauUsersMax = 100'000;
inline constexpr size_t kTauTenantsMax = 4096;

struct SavedTau {
  std::string name;
  double tau = 0;
  uint64_t samples = 0, last_update = 0, tenant_update = 0;
};
struct SavedTauTenant {
  base::Hash128 key;
  uint64_t updates = 0, aggregations = 0, last_update = 0;
  double global = 0;
  std::vector<SavedTau> users;  ///< oldest first: restoring in this order restores the recency
};
struct TauState {
  uint64_t updates = 0, aggregations = 0;
  std::vector<SavedTauTenant> tenants;
  std::vector<SavedTau> strays;  ///< users whose tenant is not known, from the first version of the bytes
};

std::string write_tau_state(const TauState& state);
/// Of the first version, which knew no tenants, the users are kept. What its new users started from rested on
/// all tenants together, so it is not. kCorrupt names what is wrong, kUnsupported a newer version.
Result<TauState> read_tau_state(std::string_view bytes);

}  // namespace enhanced_gptcache::match
