#include "eval/stream.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <unordered_map>
#include <unordered_set>

namespace enhanced_gptcache::eval {
namespace {

constexpr std::string_view kNamespace = "eval-stream";

enum class Truth { kRight, kWrong, kUnjudged };

/// Is the answer of `cluster` right for `row`?
Truth truth_of(const StreamRow& row, const std::string& cluster) {
  if (cluster == row.cluster) return Truth::kRight;
  const bool is_unjudged = std::find(row.unjudged.begin(), row.unjudged.end(), cluster) != row.unjudged.end();
  return is_unjudged ? Truth::kUnjudged : Truth::kWrong;
}

/// One replay. Confined to one thread: what is stored depends on all that came before.
class Player {
 public:
  Player(EnhancedCache& cache, size_t examples) : cache_(cache) { report.examples = Examples(examples); }

  Result<void> play(const StreamRow& row) {
    if (!row.slot_free) {
      ++report.left_out;
      return {};
    }
    ++report.events;
    const bool is_possible = !seen_.insert(row.cluster).second;
    report.possible += is_possible ? 1 : 0;
    const Prompt prompt = prompt_of({row.question, {}}, kNamespace);
    Lookup lookup;
    EGPTC_TRY(const Answer answer, ask(cache_, prompt, &lookup));
    if (answer.is_semantic) report.latency_ms.push_back(answer.latency_ms);
    count(row, answer, is_possible);
    EGPTC_TRY_VOID(show(row, prompt, answer));
    return answer.is_hit ? Result<void>() : teach(cache_, prompt, row.cluster, lookup.embedding);
  }

  StreamReport report;

 private:
  void count(const StreamRow& row, const Answer& answer, bool is_possible) {
    const Truth truth = truth_of(row, answer.candidate);
    if (answer.is_hit) {
      report.true_hits += truth == Truth::kRight ? 1 : 0;
      report.false_hits += truth == Truth::kWrong ? 1 : 0;
      report.unjudged += truth == Truth::kUnjudged ? 1 : 0;
      report.exact_hits += answer.is_exact ? 1 : 0;
    } else {
      ++report.miss_reasons[answer.reason];
      if (is_possible) ++report.lost_reasons[answer.reason];
    }
    if (!answer.has_candidate || answer.is_exact || truth == Truth::kUnjudged) return;
    report.candidates.add(answer.probability, truth == Truth::kRight);
    if (answer.is_hit) report.served.add(answer.probability, truth == Truth::kRight);
  }

  Result<void> show(const StreamRow& row, const Prompt& prompt, const Answer& answer) {
    const Truth truth = truth_of(row, answer.candidate);
    if (truth == Truth::kUnjudged || answer.is_exact) return {};
    auto* list = report.examples.list_for(answer, truth == Truth::kRight);
    if (list == nullptr || !report.examples.wants(*list, answer)) return {};
    EGPTC_TRY(Explanation explanation, cache_.explain(prompt));
    std::string stored;
    for (const CandidateReport& candidate : explanation.candidates) {
      if (stored.empty() || candidate.served) stored = candidate.query;
    }
    report.examples.add(*list, {{}, row.question, stored, answer, std::move(explanation)});
    return {};
  }

  EnhancedCache& cache_;
  std::unordered_set<std::string> seen_;
};

/// Uniform in [0, 1) from the upper 53 bits: unlike the standard distributions, the same everywhere.
double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11U) * 0x1p-53; }

size_t uniform_index(std::mt19937_64& random, size_t count) {
  return std::min(count - 1, static_cast<size_t>(uniform(random) * static_cast<double>(count)));
}

/// Indices of the rows of each cluster, clusters in the order in which they appear.
std::vector<std::vector<size_t>> members_of(const std::vector<StreamRow>& rows) {
  std::vector<std::vector<size_t>> clusters;
  std::unordered_map<std::string, size_t> place;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].slot_free) continue;
    const auto [found, is_new] = place.emplace(rows[i].cluster, clusters.size());
    if (is_new) clusters.emplace_back();
    clusters[found->second].push_back(i);
  }
  return clusters;
}

}  // namespace

Result<StreamReport> run_stream(EnhancedCache& cache, const std::vector<StreamRow>& rows,
                                const std::vector<size_t>& order, size_t examples) {
  Player player(cache, examples);
  for (const size_t i : order) EGPTC_TRY_VOID(player.play(rows[i]));
  cache.flush(Prompt().tenant, kNamespace);
  return std::move(player.report);
}

std::vector<size_t> in_order(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

Result<std::vector<size_t>> zipf_order(const std::vector<StreamRow>& rows, double s, size_t requests,
                                       uint64_t seed) {
  std::vector<std::vector<size_t>> clusters = members_of(rows);
  if (clusters.empty()) return fail(ErrorCode::kInvalidArgument, "no row is slot-free");
  std::mt19937_64 random(seed);
  for (size_t i = clusters.size() - 1; i > 0; --i)
    std::swap(clusters[i], clusters[uniform_index(random, i + 1)]);
  std::vector<double> cumulative(clusters.size());
  double sum = 0;
  for (size_t rank = 0; rank < clusters.size(); ++rank)
    cumulative[rank] = sum += std::pow(static_cast<double>(rank + 1), -s);
  std::vector<size_t> order(requests);
  for (size_t& row : order) {
    const auto found = std::upper_bound(cumulative.begin(), cumulative.end(), uniform(random) * sum);
    const size_t rank = std::min(clusters.size() - 1, static_cast<size_t>(found - cumulative.begin()));
    row = clusters[rank][uniform_index(random, clusters[rank].size())];
  }
  return order;
}

}  // namespace enhanced_gptcache::eval
