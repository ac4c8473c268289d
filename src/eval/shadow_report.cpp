#include "eval/shadow_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "cache/answer_compare.h"
#include "cache/cache_impl.h"
#include "eval/log_clock.h"

namespace enhanced_gptcache::eval {
namespace {

using nlohmann::ordered_json;

class Shadow {
 public:
  Shadow(const ReplaySide& side, const std::vector<TrafficRow>& rows, size_t examples)
      : embedder_(side.embedder), rows_(rows), examples_(examples) {}

  Result<void> play(EnhancedCache& cache, size_t i) {
    const TrafficRow& row = rows_[i];
    const Prompt prompt = make_prompt(row.question.text, row.question.history, row.name_space, row.model);
    ++report.requests;
    EGPTC_TRY(const Lookup lookup, cache.lookup(prompt));
    if (lookup.reason != MissReason::kShadow || !lookup.nearest)
      ++report.miss_reasons[reason_of(lookup)];
    else
      EGPTC_TRY_VOID(count(i, *lookup.nearest));
    StoreRequest request;
    request.prompt = prompt;
    request.text = row.response.value_or("the answer is not in the log");
    request.embedding = lookup.embedding;
    auto stored = cache.store(request);
    // What is too large to be kept is passed on by a server, too.
    if (stored) requests_[stored->id] = i;
    return {};
  }

  ShadowReport report;

 private:
  Result<void> count(size_t i, const Nearest& nearest) {
    if (nearest.similarity == 1 && nearest.probability == 1) {
      ++report.exact;
      return {};
    }
    ++report.semantic;
    report.error_sum += 1 - nearest.probability;
    const auto stored_by = requests_.find(nearest.entry_id);
    if (stored_by == requests_.end()) return {};
    keep({i, stored_by->second, nearest.similarity, nearest.probability});
    const auto& before = rows_[stored_by->second].response;
    const auto& now = rows_[i].response;
    if (!before || !now) return {};
    EGPTC_TRY(const cache::Agreement agreement, compare(*before, *now));
    ++(agreement == cache::Agreement::kAgree      ? report.agreed
       : agreement == cache::Agreement::kDisagree ? report.disagreed
                                                  : report.undecided);
    return {};
  }

  Result<cache::Agreement> compare(const std::string& a, const std::string& b) const {
    if (cache::is_same_text(a, b)) return cache::Agreement::kAgree;
    if (embedder_ == nullptr) return cache::Agreement::kUndecided;
    EGPTC_TRY(const Embedding of_a, embedder_->embed(a));
    EGPTC_TRY(const Embedding of_b, embedder_->embed(b));
    return cache::compare_answers(a, of_a, b, of_b);
  }

  void keep(const WouldBeHit& hit) {
    auto& kept = report.doubtful;
    const auto surer = [](const WouldBeHit& a, const WouldBeHit& b) { return a.probability < b.probability; };
    kept.insert(std::upper_bound(kept.begin(), kept.end(), hit, surer), hit);
    if (kept.size() > examples_) kept.pop_back();
  }

  const std::shared_ptr<const Embedder> embedder_;
  const std::vector<TrafficRow>& rows_;
  const size_t examples_;
  std::unordered_map<std::string, size_t> requests_;  // entry id -> the request that stored it
};

}  // namespace

Result<ShadowReport> shadow(const ReplaySide& side, const std::vector<TrafficRow>& rows, size_t examples) {
  LogClock clock;
  Options options = side.options;
  options.mode = CacheMode::kShadow;
  EGPTC_TRY(const auto cache, cache::open_cache(options, side.embedder, clock, true));
  Shadow player(side, rows, examples);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].timestamp_ms) clock.advance_to(*rows[i].timestamp_ms);
    EGPTC_TRY_VOID(player.play(*cache, i));
  }
  return std::move(player.report);
}

ordered_json to_json(const ShadowReport& report, const std::vector<TrafficRow>& rows) {
  const Interval interval = wilson(report.disagreed, report.agreed + report.disagreed);
  ordered_json doubtful = ordered_json::array();
  for (const WouldBeHit& hit : report.doubtful) {
    doubtful.push_back({{"query", rows[hit.request].question.text},
                        {"answered_by", rows[hit.source].question.text},
                        {"similarity", hit.similarity},
                        {"probability", hit.probability}});
  }
  return {
      {"requests", report.requests},
      {"would_be_hits", {{"exact", report.exact}, {"semantic", report.semantic}}},
      {"would_be_hit_rate", report.hit_rate()},
      {"model_error_estimate", report.semantic == 0 ? ordered_json() : ordered_json(report.error_estimate())},
      {"answers",
       {{"agreed", report.agreed}, {"disagreed", report.disagreed}, {"undecided", report.undecided}}},
      {"disagreed_share", share(report.disagreed, report.agreed + report.disagreed)},
      {"disagreed_share_95", {interval.low, interval.high}},
      {"miss_reasons", report.miss_reasons},
      {"doubtful", doubtful}};
}

std::string to_text(const ShadowReport& report, const std::vector<TrafficRow>& rows) {
  std::string text = fmt::format(
      "{} requests: {} would have been answered ({:.1f} %), {} of them by the very same request, {} by "
      "meaning\n",
      report.requests, report.exact + report.semantic, 100 * report.hit_rate(), report.exact,
      report.semantic);
  if (report.semantic > 0) {
    text += fmt::format("wrong among those by meaning: {:.2f} % by the model's own estimate\n",
                        100 * report.error_estimate());
  }
  if (const uint64_t judged = report.agreed + report.disagreed; judged > 0) {
    const Interval interval = wilson(report.disagreed, judged);
    text += fmt::format(
        "against the log's answers: {} agree, {} differ ({:.2f} %, 95 %: {:.2f} to {:.2f} %), {} cannot be "
        "told\n",
        report.agreed, report.disagreed, 100 * share(report.disagreed, judged), 100 * interval.low,
        100 * interval.high, report.undecided);
  } else if (report.semantic > 0) {
    text += "against the log's answers: none could be compared, so the estimate above is all there is\n";
  }
  text += "not answered, by reason:\n";
  for (const auto& [reason, count] : report.miss_reasons) text += fmt::format("  {:24} {}\n", reason, count);
  if (!report.doubtful.empty()) text += "the least certain that would have been served:\n";
  for (const WouldBeHit& hit : report.doubtful) {
    text += fmt::format("  {:.3f} (similarity {:.3f})  {}\n        answered by  {}\n", hit.probability,
                        hit.similarity, rows[hit.request].question.text, rows[hit.source].question.text);
  }
  return text;
}

}  // namespace enhanced_gptcache::eval
