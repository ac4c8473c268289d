#include "eval/tune.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/eval_session.h"
#include "eval/memo_embedder.h"
#include "eval/report.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::ordered_json;

/// A larger share of wrong hits is worth a remark.
constexpr double kManyWrong = 0.05;

/// What the labels of all files say together.
struct Evidence {
  eval::Curve curve;
  ordered_json sources = ordered_json::array();
  bool has_pairs = false;
  uint64_t labels() const { return curve.points.empty() ? 0 : curve.points.front().labels; }
};

class Tuner {
 public:
  Tuner(const TuneArguments& wanted, const Session& session)
      : wanted_(wanted), session_(session), embedder_(eval::remembering(session.embedder)) {}

  Result<void> add(const std::string& path, Evidence& evidence) const {
    if (path == "-") return fail(ErrorCode::kInvalidArgument, "tune reads its files twice: give no -");
    EGPTC_TRY(const eval::RowForm form, eval::form_of_file(path));
    switch (form) {
      case eval::RowForm::kPair:
        evidence.has_pairs = true;
        return add_rows(eval::read_pairs(path, wanted_.limit), "pairs", evidence, [&](const auto& rows) {
          return eval::sweep_pairs(session_.options, embedder_, rows, {session_.threads, false, 0});
        });
      case eval::RowForm::kStream:
        return add_rows(eval::read_stream(path, wanted_.limit), "stream", evidence, [&](const auto& rows) {
          return eval::sweep_stream(session_.options, embedder_, rows, eval::in_order(rows.size()));
        });
      case eval::RowForm::kShadow:
        return add_rows(eval::read_shadow(path, wanted_.limit), "shadow decisions", evidence,
                        [&](const auto& rows) -> Result<eval::Curve> {
                          return eval::curve_of(rows, eval::knob_of(session_.options));
                        });
      case eval::RowForm::kUnknown:
        break;
    }
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} holds neither pairs (a, b, label), nor a stream (q, cluster), nor shadow "
                            "decisions (similarity, correct)",
                            path));
  }

 private:
  template <typename Row, typename Sweep>
  Result<void> add_rows(const Result<eval::Rows<Row>>& rows, const char* form, Evidence& evidence,
                        Sweep sweep) const {
    if (!rows) return fail(rows.error());
    report_skipped(rows->path, rows->lines);
    EGPTC_TRY(const eval::Curve curve, sweep(rows->rows));
    evidence.sources.push_back({{"file", rows->path},
                                {"form", form},
                                {"rows", rows->lines.used},
                                {"skipped", rows->lines.skipped},
                                {"labels", curve.points.front().labels}});
    eval::merge(evidence.curve, curve);
    return {};
  }

  const TuneArguments& wanted_;
  const Session& session_;
  const std::shared_ptr<const Embedder> embedder_;
};

ordered_json proposal_json(const eval::Proposal& proposal, const std::string& yaml) {
  return {{"proven", proposal.is_proven},
          {"similarity_threshold", proposal.similarity_threshold},
          {"initial_tau", proposal.initial_tau},
          {"target_error_rate", proposal.target_error_rate},
          {"recall", eval::number(proposal.point.recall())},
          {"wrong_among_hits", eval::number(proposal.point.wrong_share())},
          {"wrong_among_hits_95", eval::to_json(proposal.point.wrong_interval())},
          {"yaml", yaml}};
}

std::string remarks(const Evidence& evidence, const eval::Proposal& proposal) {
  std::string out;
  if (const double wrong = proposal.point.wrong_share(); wrong > kManyWrong)
    out += fmt::format("# {:.1f} % of the hits would be wrong answers: that is what --target-error allows.\n",
                       100 * wrong);
  if (!proposal.is_proven)
    out += "# Not proven: with so few hits the share of wrong ones may be above the target.\n";
  if (evidence.has_pairs)
    out +=
        "# Pairs were chosen to be labelled: traffic has another balance of right and wrong. A stream or\n"
        "# decisions of shadow mode say more.\n";
  return out;
}

}  // namespace

int tune(const Common& common, const TuneArguments& wanted) {
  Session session;
  if (const int failed = open_session(common, wanted, session); failed != 0) return failed;
  warn_if_not_serving(session);
  const Tuner tuner(wanted, session);
  Evidence evidence;
  for (const std::string& path : wanted.files) {
    if (auto added = tuner.add(path, evidence); !added) return report_error(added.error());
  }
  const double target = wanted.target_error.value_or(eval::kMeanErrorWanted);
  ordered_json result = {{"command", "tune"},           {"decision", session_json(session)},
                         {"sources", evidence.sources}, {"labels", evidence.labels()},
                         {"target_mean_error", target}, {"candidates", eval::to_json(evidence.curve)}};
  std::string text =
      session_text(session) + fmt::format("\n{} labels; at most {:g} % of all hits may be wrong{}\n",
                                          evidence.labels(), 100 * target,
                                          wanted.target_error ? "" : " (--target-error sets it)");
  text += eval::to_text(evidence.curve);
  std::string problem;
  if (evidence.labels() < eval::kLabelsMin) {
    problem = fmt::format("{} labels are too few to propose anything: at least {} are needed",
                          evidence.labels(), eval::kLabelsMin);
  } else if (auto proposal = eval::propose(evidence.curve, session.options, target); !proposal) {
    problem = proposal.error().message;
  } else {
    const std::string yaml = eval::to_yaml(*proposal, session.policy, evidence.labels());
    result["proposal"] = proposal_json(*proposal, yaml);
    text += "\n" + remarks(evidence, *proposal) + yaml;
  }
  const int delivered = deliver(wanted, result, text);
  if (problem.empty()) return delivered;
  return report_error({ErrorCode::kInvalidArgument, problem});
}

}  // namespace enhanced_gptcache::cli
