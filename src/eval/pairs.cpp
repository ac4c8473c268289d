#include "eval/pairs.h"

#include <fmt/format.h>

#include <numeric>

#include "eval/parallel.h"

namespace enhanced_gptcache::eval {
namespace {

/// Row `i` of rows that are followed by themselves in the other order.
struct Order {
  const PairRow& row;
  const Question& stored;
  const Question& asked;
};
Order order_of(const std::vector<PairRow>& rows, size_t i) {
  const PairRow& row = rows[i % rows.size()];
  return i < rows.size() ? Order{row, row.a, row.b} : Order{row, row.b, row.a};
}

/// Stores one question, hands the prompt of the other to `use`, and leaves nothing behind.
template <typename Use>
Result<void> in_own_namespace(EnhancedCache& cache, const Order& order, size_t i, Use use) {
  const std::string name_space = fmt::format("eval-{}", i);
  EGPTC_TRY_VOID(teach(cache, prompt_of(order.stored, name_space), "stored"));
  const Prompt asked = prompt_of(order.asked, name_space);
  EGPTC_TRY_VOID(use(asked));
  cache.flush(asked.tenant, name_space);
  return {};
}

struct Scores {
  std::vector<Scored> all, clean;
};

void fill_ranking(PairReport& report, const Scores& scores) {
  report.auc = roc_auc(scores.all);
  report.recall_at_p90 = recall_at_precision(scores.all, 0.9);
  report.clean_auc = roc_auc(scores.clean);
  report.clean_recall_at_p90 = recall_at_precision(scores.clean, 0.9);
}

Result<void> add_examples(EnhancedCache& cache, const std::vector<PairRow>& rows,
                          const std::vector<Answer>& answers, Examples& examples) {
  if (examples.limit == 0) return {};
  // Which ones is known from the answers; only those are asked again, for the explanation.
  std::map<std::vector<Example>*, std::vector<size_t>> chosen;
  for (size_t i = 0; i < answers.size(); ++i) {
    auto* list = examples.list_for(answers[i], rows[i % rows.size()].same);
    if (list != nullptr && !answers[i].is_exact) chosen[list].push_back(i);
  }
  for (auto& [list, indices] : chosen) {
    std::stable_sort(indices.begin(), indices.end(),
                     [&](size_t a, size_t b) { return answers[a].similarity > answers[b].similarity; });
    indices.resize(std::min(indices.size(), examples.limit));
    for (const size_t i : indices) {
      const Order order = order_of(rows, i);
      EGPTC_TRY_VOID(in_own_namespace(cache, order, i, [&](const Prompt& asked) -> Result<void> {
        EGPTC_TRY(Explanation explanation, cache.explain(asked));
        examples.add(
            *list, {order.row.kind, order.asked.text, order.stored.text, answers[i], std::move(explanation)});
        return {};
      }));
    }
  }
  return {};
}

}  // namespace

bool is_clean(std::string_view kind) {
  for (const std::string_view prefix : {"sql_", "edit_", "checklist_", "template_", "paws_"}) {
    if (kind.starts_with(prefix)) return kind != "edit_gender";
  }
  return false;
}

Result<std::vector<Answer>> ask_pairs(EnhancedCache& cache, const std::vector<PairRow>& rows,
                                      const PairOptions& options) {
  std::vector<Answer> answers(rows.size() * (options.both_orders ? 2 : 1));
  EGPTC_TRY_VOID(for_each_index(answers.size(), options.threads, [&](size_t i) -> Result<void> {
    return in_own_namespace(cache, order_of(rows, i), i, [&](const Prompt& asked) -> Result<void> {
      EGPTC_TRY(answers[i], ask(cache, asked));
      return {};
    });
  }));
  return answers;
}

PairReport judge_pairs(const std::vector<PairRow>& rows, const std::vector<Answer>& answers) {
  PairReport report;
  Scores scores;
  for (size_t i = 0; i < answers.size(); ++i) {
    const PairRow& row = rows[i % rows.size()];
    const Answer& answer = answers[i];
    const bool clean = is_clean(row.kind);
    report.kinds[row.kind].add(row.same, answer.is_hit);
    report.total.add(row.same, answer.is_hit);
    if (clean) report.clean.add(row.same, answer.is_hit);
    scores.all.push_back({answer.probability, row.same});
    if (clean) scores.clean.push_back(scores.all.back());
    if (!answer.is_hit) ++report.miss_reasons[answer.reason];
    if (!answer.is_hit && row.same) ++report.lost_reasons[answer.reason];
    if (answer.has_candidate && !answer.is_exact) report.candidates.add(answer.probability, row.same);
    if (answer.is_hit && !answer.is_exact) report.served.add(answer.probability, row.same);
    if (answer.is_semantic) report.latency_ms.push_back(answer.latency_ms);
  }
  fill_ranking(report, scores);
  return report;
}

Result<PairReport> run_pairs(EnhancedCache& cache, const std::vector<PairRow>& rows,
                             const PairOptions& options) {
  EGPTC_TRY(const std::vector<Answer> answers, ask_pairs(cache, rows, options));
  PairReport report = judge_pairs(rows, answers);
  report.examples = Examples(options.examples);
  EGPTC_TRY_VOID(add_examples(cache, rows, answers, report.examples));
  return report;
}

}  // namespace enhanced_gptcache::eval
