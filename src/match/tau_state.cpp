#include "match/tau_state.h"

#include <cmath>

#include "match/state_bytes.h"

namespace enhanced_gptcache::match {
namespace {

constexpr std::string_view kMagic = "EGPTCTAU";
constexpr uint32_t kVersion = 2;
constexpr uint32_t kVersionWithoutTenants = 1;

void write_users(StateWriter& writer, const std::vector<SavedTau>& users) {
  writer.put(static_cast<uint64_t>(users.size()));
  for (const SavedTau& user : users) {
    writer.put_string(user.name);
    writer.put(user.tau);
    writer.put(user.samples);
    writer.put(user.last_update);
    writer.put(user.tenant_update);
  }
}

Result<std::vector<SavedTau>> read_users(StateReader& reader, uint64_t updates) {
  const bool has_tenants = reader.version() != kVersionWithoutTenants;
  uint64_t count = 0;
  if (!reader.get(count) || count > kTauUsersMax)
    return fail(ErrorCode::kCorrupt, "a list of taus is damaged");
  std::vector<SavedTau> users;
  for (uint64_t i = 0; i < count; ++i) {
    SavedTau user;
    const bool read = reader.get_string(user.name) && reader.get(user.tau) && reader.get(user.samples) &&
                      reader.get(user.last_update) && (!has_tenants || reader.get(user.tenant_update));
    if (!read || !std::isfinite(user.tau) || user.last_update > updates ||
        user.tenant_update > user.last_update || user.name.size() > kTauNameBytesMax)
      return fail(ErrorCode::kCorrupt, "tau number " + std::to_string(i) + " is damaged");
    users.push_back(std::move(user));
  }
  return users;
}

Result<SavedTauTenant> read_tenant(StateReader& reader, uint64_t updates) {
  SavedTauTenant tenant;
  const bool read = reader.get(tenant.key.high) && reader.get(tenant.key.low) && reader.get(tenant.updates) &&
                    reader.get(tenant.aggregations) && reader.get(tenant.last_update) &&
                    reader.get(tenant.global);
  if (!read || !std::isfinite(tenant.global) || tenant.updates > updates || tenant.last_update > updates)
    return fail(ErrorCode::kCorrupt, "a tenant's taus are damaged");
  EGPTC_TRY(tenant.users, read_users(reader, updates));
  for (const SavedTau& user : tenant.users)
    if (user.tenant_update > tenant.updates) return fail(ErrorCode::kCorrupt, "a tenant's taus are damaged");
  return tenant;
}

}  // namespace

std::string write_tau_state(const TauState& state) {
  StateWriter writer(kMagic, kVersion);
  writer.put(state.updates);
  writer.put(state.aggregations);
  writer.put(static_cast<uint64_t>(state.tenants.size()));
  for (const SavedTauTenant& tenant : state.tenants) {
    writer.put(tenant.key.high);
    writer.put(tenant.key.low);
    writer.put(tenant.updates);
    writer.put(tenant.aggregations);
    writer.put(tenant.last_update);
    writer.put(tenant.global);
    write_users(writer, tenant.users);
  }
  write_users(writer, state.strays);
  return std::move(writer).finish();
}

Result<TauState> read_tau_state(std::string_view bytes) {
  EGPTC_TRY(StateReader reader, StateReader::open(bytes, kMagic, kVersion));
  TauState state;
  if (!reader.get(state.updates) || !reader.get(state.aggregations))
    return fail(ErrorCode::kCorrupt, "the taus' header is damaged");
  if (reader.version() == kVersionWithoutTenants) {
    double global = 0;
    if (!reader.get(global) || !std::isfinite(global))
      return fail(ErrorCode::kCorrupt, "the taus' header is damaged");
  } else {
    uint64_t count = 0;
    if (!reader.get(count) || count > kTauTenantsMax)
      return fail(ErrorCode::kCorrupt, "the taus' header is damaged");
    for (uint64_t i = 0; i < count; ++i) {
      EGPTC_TRY(SavedTauTenant tenant, read_tenant(reader, state.updates));
      state.tenants.push_back(std::move(tenant));
    }
  }
  EGPTC_TRY(state.strays, read_users(reader, state.updates));
  if (reader.left() != 0) return fail(ErrorCode::kCorrupt, "bytes follow the last tau");
  return state;
}

}  // namespace enhanced_gptcache::match
