// Does the error budget hold? Plays a labelled stream in many orders through the real cache, gives feedback
// on some of its hits, and counts how many orders kept the share of wrong hits within target_error_rate,
// beside vCache's rule on the same orders and the same similarities. bench/error_budget.sh runs it;
// docs/quality.md has the result.
//
//   error_budget MODEL_DIR VERIFIER_DIR STREAM.jsonl[.gz] OUT.json [SEEDS [LABEL_SHARE [ZIPF [REQUESTS]]]]

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <unordered_map>

#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "eval/memo_embedder.h"
#include "eval/metrics.h"
#include "eval/rows.h"
#include "eval/stream.h"
#include "vcache_rule.h"

namespace enhanced_gptcache::bench {
namespace {

using nlohmann::ordered_json;

constexpr double kTargets[] = {0.01, 0.02, 0.05};

/// What one rule did with one order of the stream.
struct Run {
  uint64_t requests = 0, possible = 0, right = 0, wrong = 0, unjudged = 0, exact = 0, labels = 0;
  double shift = 0;
  double wrong_share() const { return eval::share(wrong, right + wrong); }
  double hit_share() const { return eval::share(right + wrong + unjudged, requests); }
  double recall() const { return eval::share(right, possible); }
  /// What vCache promises to bound: every request that is not served wrongly counts as right.
  double wrong_per_request() const { return eval::share(wrong, requests); }
};

/// Right, wrong, or nobody knows.
enum class Truth { kRight, kWrong, kUnjudged };
Truth truth_of(const eval::StreamRow& row, const std::string& cluster) {
  if (cluster == row.cluster) return Truth::kRight;
  const auto& unjudged = row.unjudged;
  return std::find(unjudged.begin(), unjudged.end(), cluster) != unjudged.end() ? Truth::kUnjudged
                                                                                : Truth::kWrong;
}

struct Stream {
  std::vector<eval::StreamRow> rows;
  std::vector<size_t> order;
};

double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11U) * 0x1p-53; }

void count(Run& run, Truth truth) {
  ++(truth == Truth::kRight ? run.right : truth == Truth::kWrong ? run.wrong : run.unjudged);
}

enum class Labels { kNone, kSome };

/// The cache as it serves traffic, insert on a miss; `label_share` of the judged semantic hits get feedback.
Result<Run> play_ours(const Options& options, const std::shared_ptr<const Embedder>& embedder,
                      const Stream& stream, double label_share, uint64_t seed) {
  EGPTC_TRY(const auto cache, EnhancedCache::open(options, embedder));
  std::mt19937_64 random(seed * 7919 + 1);
  std::unordered_map<std::string, size_t> seen;
  Run run;
  Prompt last;
  for (const size_t i : stream.order) {
    const eval::StreamRow& row = stream.rows[i];
    const Prompt prompt = make_prompt(row.question);
    ++run.requests;
    run.possible += seen[row.cluster]++ > 0 ? 1 : 0;
    EGPTC_TRY(const Lookup lookup, cache->lookup(prompt));
    if (lookup.entry == nullptr) {
      StoreRequest request;
      request.prompt = prompt;
      request.text = row.cluster;
      request.embedding = lookup.embedding;
      EGPTC_TRY_VOID(cache->store(request));
      continue;
    }
    const Truth truth = truth_of(row, std::string(lookup.entry->text()));
    if (lookup.layer == Layer::kExact) {
      ++run.exact;  // the very same text: neither rule has anything to decide
      continue;
    }
    count(run, truth);
    last = prompt;
    if (truth == Truth::kUnjudged || uniform(random) >= label_share) continue;
    ++run.labels;
    Feedback feedback;
    feedback.request_id = lookup.request_id;
    feedback.correct = truth == Truth::kRight;
    EGPTC_TRY(const FeedbackResult done, cache->feedback(feedback));
  }
  if (run.right > 0) {
    EGPTC_TRY(const Explanation explanation, cache->explain(last));
    if (explanation.required) run.shift = explanation.required->tenant_shift;
  }
  return run;
}

/// vCache's rule: the nearest stored question decides; every exploration labels it, and is stored when the
/// nearest answer would have been wrong.
Run play_vcache(const std::vector<std::vector<float>>& vectors, const Stream& stream, double delta,
                uint64_t seed) {
  struct Stored {
    size_t row;
    VCacheEntry entry;
  };
  std::mt19937_64 random(seed * 104729 + 3);
  std::vector<Stored> stored;
  std::unordered_map<std::string, size_t> seen;
  std::vector<bool> was_asked(stream.rows.size(), false);
  Run run;
  for (const size_t i : stream.order) {
    const eval::StreamRow& row = stream.rows[i];
    ++run.requests;
    run.possible += seen[row.cluster]++ > 0 ? 1 : 0;
    Stored* nearest = nullptr;
    float best = -2;
    for (Stored& one : stored) {
      float dot = 0;
      const auto& vector = vectors[one.row];
      for (size_t d = 0; d < vector.size(); ++d) dot += vector[d] * vectors[i][d];
      if (dot > best) {
        best = dot;
        nearest = &one;
      }
    }
    if (nearest == nullptr) {
      stored.push_back({i, {}});
      continue;
    }
    if (nearest->row == i) {
      ++run.exact;
      continue;
    }
    const Truth truth = truth_of(row, stream.rows[nearest->row].cluster);
    if (uniform(random) > nearest->entry.tau(best, delta)) {
      count(run, truth);
      continue;
    }
    ++run.labels;
    nearest->entry.observe(best, truth == Truth::kRight);
    if (truth != Truth::kRight) stored.push_back({i, {}});
  }
  return run;
}

struct Summary {
  std::vector<Run> runs;

  ordered_json json(double target) const {
    uint64_t held = 0;
    double hit = 0;
    double recall = 0;
    double labels = 0;
    double per_request = 0;
    std::vector<double> wrong;
    ordered_json seeds = ordered_json::array();
    for (const Run& run : runs) {
      held += run.wrong_share() <= target ? 1 : 0;
      hit += run.hit_share() / static_cast<double>(runs.size());
      recall += run.recall() / static_cast<double>(runs.size());
      labels += static_cast<double>(run.labels) / static_cast<double>(runs.size());
      wrong.push_back(run.wrong_share());
      per_request += run.wrong_per_request() / static_cast<double>(runs.size());
      seeds.push_back({{"right", run.right},
                       {"wrong", run.wrong},
                       {"unjudged", run.unjudged},
                       {"exact", run.exact},
                       {"labels", run.labels},
                       {"wrong_share", run.wrong_share()},
                       {"shift", run.shift}});
    }
    const double mean = std::accumulate(wrong.begin(), wrong.end(), 0.0) / static_cast<double>(wrong.size());
    return {{"held", held},          {"seeds", runs.size()},
            {"hit_rate", hit},       {"recall", recall},
            {"wrong_mean", mean},    {"wrong_max", *std::max_element(wrong.begin(), wrong.end())},
            {"labels_mean", labels}, {"wrong_per_request_mean", per_request},
            {"runs", seeds}};
  }
};

Result<std::vector<size_t>> order_of(const std::vector<eval::StreamRow>& rows, double zipf, size_t requests,
                                     uint64_t seed) {
  if (zipf > 0) return eval::zipf_order(rows, zipf, requests, seed);
  std::vector<size_t> order = eval::in_order(rows.size());
  std::mt19937_64 random(seed);
  for (size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[static_cast<size_t>(uniform(random) * static_cast<double>(i + 1))]);
  return order;
}

struct Arguments {
  std::string model, verifier, stream, out;
  uint64_t seeds = 20;
  double label_share = 0.05;
  double zipf = 0;
  size_t requests = 0;
};

Result<ordered_json> measure(const Arguments& wanted) {
  EmbedderOptions model;
  model.model_dir = wanted.model;
  model.pair_encoder_path = wanted.verifier + "/pair_encoder.safetensors";
  EGPTC_TRY(const std::shared_ptr<const Embedder> opened, Embedder::open(model));
  const auto embedder = eval::remembering(opened);
  EGPTC_TRY(auto read, eval::read_stream(wanted.stream, 0));
  Stream stream{std::move(read.rows), {}};
  std::erase_if(stream.rows, [](const eval::StreamRow& row) { return !row.slot_free; });
  std::vector<std::vector<float>> vectors;
  for (const eval::StreamRow& row : stream.rows) {
    EGPTC_TRY(Embedding embedding, embedder->embed(row.question));
    vectors.push_back(std::move(embedding.values));
  }
  ordered_json results = ordered_json::array();
  for (const double target : kTargets) {
    Summary ours, unlabelled, vcache;
    Options options;
    options.decision = DecisionPolicy::kVerified;
    options.verifier_path = wanted.verifier + "/decision.json";
    options.tau.target_error_rate = target;
    options.pca.enabled = false;  // decides nothing
    for (uint64_t seed = 1; seed <= wanted.seeds; ++seed) {
      EGPTC_TRY(stream.order, order_of(stream.rows, wanted.zipf, wanted.requests, seed));
      EGPTC_TRY(Run with, play_ours(options, embedder, stream, wanted.label_share, seed));
      EGPTC_TRY(Run without, play_ours(options, embedder, stream, 0, seed));
      ours.runs.push_back(with);
      unlabelled.runs.push_back(without);
      vcache.runs.push_back(play_vcache(vectors, stream, target, seed));
    }
    results.push_back({{"target_error_rate", target},
                       {"error_budget", ours.json(target)},
                       {"without_labels", unlabelled.json(target)},
                       {"vcache_rule", vcache.json(target)}});
    const auto line = [&](const char* name, const Summary& summary) {
      const ordered_json row = summary.json(target);
      fmt::print("{:.2f} {:15} held {:2}/{} hit rate {:.3f} wrong mean {:.4f} max {:.4f} labels {:.0f}\n",
                 target, name, row["held"].get<uint64_t>(), wanted.seeds, row["hit_rate"].get<double>(),
                 row["wrong_mean"].get<double>(), row["wrong_max"].get<double>(),
                 row["labels_mean"].get<double>());
      std::fflush(stdout);
    };
    line("error_budget", ours);
    line("without_labels", unlabelled);
    line("vcache_rule", vcache);
  }
  return ordered_json{{"stream", eval::name_of(wanted.stream)},
                      {"label_share", wanted.label_share},
                      {"zipf", wanted.zipf},
                      {"requests", wanted.requests},
                      {"version", EGPTC_VERSION},
                      {"results", results}};
}

}  // namespace
}  // namespace enhanced_gptcache::bench

int main(int argc, char** argv) {
  using namespace enhanced_gptcache;
  if (argc < 5) {
    fmt::print(stderr,
               "usage: error_budget MODEL_DIR VERIFIER_DIR STREAM OUT.json [SEEDS [LABEL_SHARE [ZIPF "
               "[REQUESTS]]]]\n");
    return 2;
  }
  bench::Arguments wanted{argv[1], argv[2], argv[3], argv[4]};
  if (argc > 5) wanted.seeds = std::strtoull(argv[5], nullptr, 10);
  if (argc > 6) wanted.label_share = std::strtod(argv[6], nullptr);
  if (argc > 7) wanted.zipf = std::strtod(argv[7], nullptr);
  if (argc > 8) wanted.requests = std::strtoull(argv[8], nullptr, 10);
  const auto result = bench::measure(wanted);
  if (!result) {
    fmt::print(stderr, "error: {}\n", result.error().message);
    return 1;
  }
  std::ofstream(wanted.out) << result->dump(1) << "\n";
  return 0;
}
