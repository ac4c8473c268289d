// What an operator sees of what labels have taught.

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {
namespace {

std::string hex_of(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += kDigits[value >> 4U];
    out += kDigits[value & 15U];
  }
  return out;
}

}  // namespace

LearningReport CacheImpl::learning(size_t users_max) const {
  LearningReport report;
  report.taus = tau_.listing(users_max);
  for (TauUser& user : report.taus.newest) user.name = hex_of(user.name);
  report.labels = label_scores_.bins();
  return report;
}

UserThreshold CacheImpl::threshold_of(std::string_view tenant, std::string_view user) const {
  const std::string key = keys_.tau_user(tenant, user);
  const TauView view = tau_.tau(key, tenant);
  return {hex_of(key), view.tau, view.source};
}

const LearningSource* learning_of(const EnhancedCache& cache) {
  return dynamic_cast<const LearningSource*>(&cache);
}

}  // namespace enhanced_gptcache::cache
