#include "eval/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "cache/cache_impl.h"
#include "eval/log_clock.h"

namespace enhanced_gptcache::eval {
namespace {

Prompt prompt_of_row(const TrafficRow& row) {
  return make_prompt(row.question.text, row.question.history, row.name_space, row.model);
}

/// One configuration on its way through the log.
class Runner {
 public:
  Runner(std::unique_ptr<cache::CacheImpl> cache, SideReport& report)
      : cache_(std::move(cache)), report_(report) {}

  Result<ReplayOutcome> play(const std::vector<TrafficRow>& rows, size_t i) {
    const Prompt prompt = prompt_of_row(rows[i]);
    Lookup lookup;
    EGPTC_TRY(const Answer answer, ask(*cache_, prompt, &lookup));
    ReplayOutcome outcome{answer.is_hit, answer.is_exact, answer.similarity, answer.reason, 0};
    if (!answer.is_hit) {
      ++report_.miss_reasons[answer.reason];
      EGPTC_TRY_VOID(learn(prompt, rows[i], i, lookup.embedding));
      return outcome;
    }
    ++report_.hits;
    report_.exact_hits += answer.is_exact ? 1 : 0;
    const auto stored_by = requests_.find(std::string(lookup.entry->id()));
    EGPTC_CHECK(stored_by != requests_.end());
    outcome.source = stored_by->second;
    const auto& stored = rows[outcome.source].response;
    if (stored && rows[i].response)
      ++(*stored == *rows[i].response ? report_.same_answer : report_.other_answer);
    return outcome;
  }

 private:
  Result<void> learn(const Prompt& prompt, const TrafficRow& row, size_t i,
                     std::shared_ptr<const Embedding> embedding) {
    StoreRequest request;
    request.prompt = prompt;
    request.text = row.response.value_or("the answer is not in the log");
    request.embedding = std::move(embedding);
    auto stored = cache_->store(request);
    // An answer too large to be kept is no failure of the replay: the server would go on as well.
    if (!stored && stored.error().code == ErrorCode::kInvalidArgument) return {};
    if (!stored) return fail(std::move(stored).error());
    requests_[stored->id] = i;
    return {};
  }

  std::unique_ptr<cache::CacheImpl> cache_;
  SideReport& report_;
  std::unordered_map<std::string, size_t> requests_;  // entry id -> the request that stored it
};

std::optional<ChangeKind> change_of(const ReplayOutcome& before, const ReplayOutcome& after) {
  if (before.is_hit != after.is_hit) return after.is_hit ? ChangeKind::kGained : ChangeKind::kLost;
  if (before.is_hit && before.source != after.source) return ChangeKind::kOther;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kGained:
      return "miss to hit";
    case ChangeKind::kLost:
      return "hit to miss";
    case ChangeKind::kOther:
      return "another entry";
  }
  return "unknown";
}

Result<ReplayReport> replay(const ReplaySide& before, const ReplaySide& after,
                            const std::vector<TrafficRow>& rows, size_t examples) {
  LogClock clock;
  ReplayReport report;
  EGPTC_TRY(auto cache_before, cache::open_cache(before.options, before.embedder, clock, true));
  EGPTC_TRY(auto cache_after, cache::open_cache(after.options, after.embedder, clock, true));
  Runner runner_before(std::move(cache_before), report.before);
  Runner runner_after(std::move(cache_after), report.after);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].timestamp_ms) clock.advance_to(*rows[i].timestamp_ms);
    ++report.requests;
    EGPTC_TRY(ReplayOutcome was, runner_before.play(rows, i));
    EGPTC_TRY(ReplayOutcome is, runner_after.play(rows, i));
    const auto kind = change_of(was, is);
    if (!kind) continue;
    if (report.changed[static_cast<size_t>(*kind)]++ < examples)
      report.examples.push_back({*kind, i, std::move(was), std::move(is)});
  }
  return report;
}

}  // namespace enhanced_gptcache::eval
