#pragma once
// What labels have taught, for the operator who looks: thresholds of users under their pseudonyms, and how
// labels fell by the probability that had been stated, which is what another threshold would have done.
// Apart from EnhancedCache, because programs that embed the cache have no use for it.

#include <string>
#include <string_view>
#include <vector>

#include "cache/label_scores.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/tau_manager.h"

namespace enhanced_gptcache::cache {

struct LearningReport {
  TauListing taus;               ///< names are the hexadecimal pseudonyms under which taus are kept
  std::vector<LabelBin> labels;  ///< LabelScores::bins()
};

struct UserThreshold {
  std::string name;  ///< the pseudonym
  double tau = 0;
  std::string source;  ///< "user", "global", "initial", "off"
};

/// Thread rule: any thread.
class LearningSource {
 public:
  virtual ~LearningSource() = default;
  virtual LearningReport learning(size_t users_max) const = 0;
  virtual UserThreshold threshold_of(std::string_view tenant, std::string_view user) const = 0;
};

/// Of a cache that EnhancedCache::open() made; null for others.
const LearningSource* learning_of(const EnhancedCache& cache);

}  // namespace enhanced_gptcache::cache
