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

}  // namespace

void add_eval_commands(CLI::App& app, const Common& common, EvalCommands& commands, int& exit_code) {
  add_eval(app, common, commands.eval, exit_code);
}

}  // namespace enhanced_gptcache::cli
