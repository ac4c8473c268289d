// The verified policy: of the candidates whose context and guards agree, the one whose answer is likeliest
// right, if that is likely enough. The order of questions is the order of their cost.

#include <algorithm>

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {
namespace {

/// As in cache_lookup.cpp: so many times more are looked at when all of the first differ in their context.
constexpr size_t kWideningFactor = 8;
/// Pairs the encoder reads for one lookup. A second one is worth it when the first is refused; later ones
/// hardly ever are.
constexpr size_t kPairsMax = 2;

}  // namespace

std::vector<Examined> CacheImpl::examine(const Query& query, Judge& judge,
                                         std::span<const float> vector) const {
  const size_t narrow = query.settings->options.candidates;
  std::vector<Examined> examined;
  std::vector<Candidate> found = candidates(query, vector, narrow);
  const auto differs = [](const Examined& one) {
    return !one.verdict.passes && one.verdict.reason == MissReason::kContext;
  };
  for (size_t i = 0; i < found.size(); ++i) {
    examined.push_back(judge.examine(found[i]));
    const bool is_last = i + 1 == narrow && found.size() == narrow;
    if (is_last && std::all_of(examined.begin(), examined.end(), differs))
      found = candidates(query, vector, narrow * kWideningFactor);
  }
  return examined;
}

Lookup CacheImpl::decide_verified(const Query& query, Judge& judge, std::span<const float> vector) {
  Lookup lookup;
  lookup.threshold = judge.threshold();
  std::vector<Examined> examined = examine(query, judge, vector);
  if (examined.empty()) return miss(query, std::move(lookup), MissReason::kNoCandidate, {});
  judge.ask_pair_encoder(examined, kPairsMax);
  const Examined* best = nullptr;
  for (const Examined& one : examined) {
    if (one.verdict.passes && (best == nullptr || one.logit > best->logit)) best = &one;
  }
  lookup.nearest = Judge::nearest(best == nullptr ? examined.front() : *best);
  if (best == nullptr) {
    const Verdict& first = examined.front().verdict;
    return miss(query, std::move(lookup), first.reason, first.detail);
  }
  if (!judge.is_likely_enough(*best)) return miss(query, std::move(lookup), MissReason::kVerifier, {});
  if (!is_served(query)) return miss(query, std::move(lookup), MissReason::kShadow, {});
  lookup.layer = Layer::kSemantic;
  lookup.similarity = best->candidate.similarity;
  lookup.probability = lookup.nearest->probability;
  lookup.nearest.reset();
  return serve(query, std::move(lookup), best->candidate.record);
}

}  // namespace enhanced_gptcache::cache
