#include <CLI/CLI.hpp>

#include "cli/eval_commands.h"

namespace enhanced_gptcache::cli {
namespace {

constexpr uint64_t kRowsMax = 1'000'000'000;
constexpr uint64_t kThreadsMax = 1024;
constexpr uint64_t kExamplesMax = 10'000;

void add_measure_options(CLI::App* command, MeasureArguments& wanted) {
  command->add_option("--policy", wanted.policy, "the decision to measure: a value of cache.decision");
  command->add_option("--threshold", wanted.threshold, "similarity floor (cache.similarity_threshold)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--without", wanted.without,
                      "switch a guard off, to see what it is worth; may be given more than once");
  command->add_option("--limit", wanted.limit, "use so many rows of each file")
      ->check(CLI::Range(uint64_t{1}, kRowsMax));
  command->add_option("--threads", wanted.threads, "threads for independent rows (default: all cores)")
      ->check(CLI::Range(uint64_t{1}, kThreadsMax));
  command->add_flag("--json", wanted.as_json, "print JSON instead of tables");
  command->add_option("--output", wanted.output, "also write the JSON to this file");
}

void add_eval(CLI::App& app, const Common& common, EvalArguments& wanted, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "eval", "Measure right and wrong hits on labelled files (docs/quality.md tells their form).");
  command->add_option("form", wanted.form, "pairs, stream or multiturn")
      ->required()
      ->check(CLI::IsMember({"pairs", "stream", "multiturn"}));
  command->add_option("files", wanted.files, "JSONL files, also gzipped")->required();
  add_measure_options(command, wanted);
  command->add_flag("--both-orders", wanted.both_orders, "pairs: also put b and look up a");
  command->add_flag("--sweep", wanted.sweep,
                    "also measure at many thresholds: the curve of recall against wrong");
  command->add_option("--plot", wanted.plot,
                      "with --sweep: draw the curves into this file, whose name ends with .svg");
  command
      ->add_option("--explain", wanted.examples,
                   "show so many served and refused near misses and lost hits with every check")
      ->check(CLI::Range(uint64_t{1}, kExamplesMax));
  command
      ->add_option("--zipf", wanted.zipf,
                   "stream: instead of the order of the file, draw clusters by Zipf's law with this exponent")
      ->check(CLI::Range(0.0, 10.0));
  command->add_option("--requests", wanted.requests, "stream with --zipf: requests to draw (default: 20000)")
      ->check(CLI::Range(uint64_t{1}, kRowsMax));
  command->add_option("--seed", wanted.seed, "of whatever is drawn (default: 1)");
  command->callback([&] { exit_code = eval(common, wanted); });
}

void add_tune(CLI::App& app, const Common& common, TuneArguments& wanted, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "tune", "Propose thresholds from labelled pairs, streams or decisions of shadow mode.");
  command
      ->add_option("files", wanted.files, "JSONL files, also gzipped; their kind is seen from their fields")
      ->required();
  add_measure_options(command, wanted);
  command
      ->add_option("--target-error", wanted.target_error,
                   "share of all hits that may be wrong, on average (default: 0.02). Not "
                   "cache.target_error_rate, which bounds a single hit")
      ->check(CLI::Range(0.0001, 0.5));
  command->callback([&] { exit_code = tune(common, wanted); });
}

void add_replay(CLI::App& app, const Common& common, ReplayArguments& wanted, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "replay",
      "Run a log of requests through the current and a candidate configuration, and show what would change. "
      "The candidate is --config and the setting flags.");
  command
      ->add_option("log", wanted.log, "JSONL of {query, context?, namespace?, model?, response?, timestamp?}")
      ->required();
  add_measure_options(command, wanted);
  command->add_option("--current", wanted.current,
                      "settings file in use now (default: the one serve would use)");
  command->add_option("--examples", wanted.examples, "changed requests of each kind to show (default: 10)")
      ->check(CLI::Range(uint64_t{0}, kExamplesMax));
  command->add_flag("--shadow", wanted.shadow,
                    "serve nothing and report what would have been served: what to read before switching on");
  command->callback([&] { exit_code = replay(common, wanted); });
}

}  // namespace

void add_eval_commands(CLI::App& app, const Common& common, EvalCommands& commands, int& exit_code) {
  add_eval(app, common, commands.eval, exit_code);
  add_tune(app, common, commands.tune, exit_code);
  add_replay(app, common, commands.replay, exit_code);
}

}  // namespace enhanced_gptcache::cli
