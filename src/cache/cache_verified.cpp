// The verified policy: of the candidates whose context and guards agree, the one whose answer is likeliest
// right, if that is likely enough. The order of questions is the order of their cost.

#include <algorithm>

#include "cache/cache_impl.h"

namespace enhanced_gptcache::cache {
namespace {

/// Pairs the encoder reads for one lookup. After two refusals a third is hardly ever accepted.
constexpr size_t kPairsMax = 2;

CandidateTags tags_of(std::span<const Examined> examined, double similarity_threshold) {
  CandidateTags tags{};
  size_t count = 0;
  for (const Examined& one : examined)
    if (one.facts.similarity >= similarity_threshold && count < tags.size())
      tags[count++] = candidate_tag(one.candidate.record->id_hash());
  return tags;
}

}  // namespace

std::vector<Examined> CacheImpl::examine(const Query& query, Judge& judge,
                                         std::span<const float> vector) const {
  const size_t narrow = query.settings->options.candidates;
  std::vector<Examined> examined;
  std::vector<Candidate> found = candidates(query, judge, vector, narrow);
  const auto differs = [](const Examined& one) { return !one.facts.context_equivalent; };
  for (size_t i = 0; i < found.size(); ++i) {
    examined.push_back(judge.examine(found[i]));
    const bool is_last = i + 1 == narrow && found.size() == narrow;
    if (is_last && std::all_of(examined.begin(), examined.end(), differs))
      found = candidates(query, judge, vector, narrow * kWideningFactor);
  }
  return examined;
}

Lookup CacheImpl::decide_verified(const Query& query, Judge& judge, std::span<const float> vector) {
  Lookup lookup;
  lookup.threshold = judge.threshold();
  std::vector<Examined> examined = examine(query, judge, vector);
  if (examined.empty()) return miss(query, std::move(lookup), MissReason::kNoCandidate, {});
  const int64_t began_us = clock_.mono_us();
  Examined* const passing = judge.likeliest(examined, kPairsMax);
  const bool was_asked = judge.pairs_read() > 0;
  if (was_asked) lookup.pair_encoder_ms = static_cast<double>(clock_.mono_us() - began_us) / 1000.0;
  if (query.options.counted) {
    counters_.add(Count::kVerifiedDecisions);
    if (was_asked) counters_.add(Count::kPairEncoderDecisions);
    if (passing != nullptr) budgets_.observe(keys_.tenant(query.prompt.tenant), passing->facts.logit);
  }
  Examined& best = passing == nullptr ? examined.front() : *passing;
  lookup.nearest = judge.nearest(best);
  Verdict verdict = judge.verdict(best);
  if (!verdict.passes)
    return miss(query, std::move(lookup), verdict.reason, std::move(verdict.detail),
                tags_of(examined, judge.policy().similarity_threshold));
  if (!is_served(query)) return miss(query, std::move(lookup), MissReason::kShadow, {});
  lookup.layer = Layer::kSemantic;
  lookup.similarity = best.facts.similarity;
  lookup.probability = lookup.nearest->probability;
  lookup.nearest.reset();
  return serve(query, std::move(lookup), best.candidate.record);
}

}  // namespace enhanced_gptcache::cache
