#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/eval_session.h"
#include "eval/memo_embedder.h"
#include "eval/report.h"
#include "eval/sweep.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

/// What was measured of one file.
struct Measured {
  ordered_json json;
  std::string text;
};

class Evaluation {
 public:
  Evaluation(const EvalArguments& wanted, Session session) : wanted_(wanted), session_(std::move(session)) {}

  Result<Measured> measure(const std::string& path) {
    return wanted_.form == "stream" ? measure_stream(path) : measure_pairs(path);
  }
  const Session& session() const { return session_; }
  const std::vector<eval::Curve>& curves() const { return curves_; }

 private:
  Result<std::unique_ptr<EnhancedCache>> cache() const {
    return EnhancedCache::open(session_.options, session_.embedder);
  }

  Result<Measured> measure_pairs(const std::string& path) {
    EGPTC_TRY(const auto rows, eval::read_pairs(path, wanted_.limit));
    report_skipped(path, rows.lines);
    EGPTC_TRY(const auto opened, cache());
    const eval::PairOptions options{session_.threads, wanted_.both_orders, wanted_.examples};
    EGPTC_TRY(const eval::PairReport report, eval::run_pairs(*opened, rows.rows, options));
    Measured measured{with_file(eval::to_json(report), path, rows.lines),
                      title(path, rows.lines) + eval::to_text(report)};
    if (wanted_.sweep) {
      EGPTC_TRY(auto curve, eval::sweep_pairs(session_.options, memo(), rows.rows, options));
      add_curve(std::move(curve), rows.name, measured);
    }
    return measured;
  }

  Result<Measured> measure_stream(const std::string& path) {
    EGPTC_TRY(const auto rows, eval::read_stream(path, wanted_.limit));
    report_skipped(path, rows.lines);
    std::vector<size_t> order = eval::in_order(rows.rows.size());
    if (wanted_.zipf) {
      EGPTC_TRY(order, eval::zipf_order(rows.rows, *wanted_.zipf, wanted_.requests, wanted_.seed));
    }
    EGPTC_TRY(const auto opened, cache());
    EGPTC_TRY(const eval::StreamReport report, eval::run_stream(*opened, rows.rows, order, wanted_.examples));
    Measured measured{with_file(eval::to_json(report), path, rows.lines),
                      title(path, rows.lines) + eval::to_text(report)};
    if (wanted_.zipf) measured.json["zipf"] = {{"exponent", *wanted_.zipf}, {"seed", wanted_.seed}};
    if (wanted_.sweep) {
      EGPTC_TRY(auto curve, eval::sweep_stream(session_.options, memo(), rows.rows, order));
      add_curve(std::move(curve), rows.name, measured);
    }
    return measured;
  }

  std::shared_ptr<const Embedder> memo() const { return eval::remembering(session_.embedder); }
  void add_curve(eval::Curve curve, const std::string& name, Measured& measured) {
    curve.name = name;
    measured.json["sweep"] = eval::to_json(curve);
    measured.text += eval::to_text(curve);
    curves_.push_back(std::move(curve));
  }

  static ordered_json with_file(ordered_json report, const std::string& path,
                                const eval::LineOutcome& lines) {
    ordered_json out = {{"file", path}, {"rows", lines.used}, {"skipped", lines.skipped}};
    out.update(report);
    return out;
  }
  static std::string title(const std::string& path, const eval::LineOutcome& lines) {
    return fmt::format("\n{}: {} rows{}\n", path, lines.used,
                       lines.skipped == 0 ? "" : fmt::format(", {} skipped", lines.skipped));
  }

  const EvalArguments& wanted_;
  const Session session_;
  std::vector<eval::Curve> curves_;
};

/// The exit code.
int draw(const std::string& path, const Evaluation& evaluation) {
  if (path.empty()) return 0;
  const std::string& policy = evaluation.session().policy;
  return write_file("--plot", path,
                    eval::to_svg(evaluation.curves(), "Recall and wrong answers, policy " + policy));
}

std::string usage_problem(const EvalArguments& wanted) {
  if (wanted.form == "stream" && wanted.both_orders) return "--both-orders is for pairs";
  if (wanted.form != "stream" && wanted.zipf) return "--zipf is for streams";
  if (!wanted.plot.empty() && !wanted.sweep) return "--plot draws what --sweep measures: give both";
  if (!wanted.plot.empty() && !wanted.plot.ends_with(".svg"))
    return fmt::format("--plot {}: the plot is an SVG file, so its name must end with .svg", wanted.plot);
  return {};
}

}  // namespace

int eval(const Common& common, const EvalArguments& wanted) {
  if (const std::string problem = usage_problem(wanted); !problem.empty()) {
    fmt::print(stderr, "error: {}\n", problem);
    return 2;
  }
  Session session;
  if (const int failed = open_session(common, wanted, session); failed != 0) return failed;
  warn_if_not_serving(session);
  Evaluation evaluation(wanted, std::move(session));
  ordered_json results = ordered_json::object();
  std::string text = session_text(evaluation.session());
  for (const std::string& path : wanted.files) {
    const int64_t start_us = base::system_clock().mono_us();
    auto measured = evaluation.measure(path);
    if (!measured) return report_error(measured.error());
    measured->json["seconds"] =
        eval::number(static_cast<double>(base::system_clock().mono_us() - start_us) / 1e6);
    const std::string name = eval::name_of(path);
    results[results.contains(name) ? path : name] = std::move(measured->json);
    text += measured->text;
  }
  ordered_json result = {{"command", "eval " + wanted.form},
                         {"decision", session_json(evaluation.session())}};
  result["results"] = std::move(results);
  const int drawn = draw(wanted.plot, evaluation);
  const int delivered = deliver(wanted, result, text);
  return drawn != 0 ? drawn : delivered;
}

}  // namespace enhanced_gptcache::cli
