#pragma once
// The subcommands that measure: eval, tune, replay. They run the cache in this process, in memory only; no
// server is asked and no upstream is called.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace CLI {
class App;
}

namespace enhanced_gptcache::cli {

/// What the three share: which decision is measured, and where the result goes.
struct MeasureArguments {
  std::string policy;               ///< empty: cache.decision
  std::optional<double> threshold;  ///< unset: cache.similarity_threshold
  std::vector<std::string> without;
  std::string output;
  bool as_json = false;
  uint64_t limit = 0;    ///< rows of each file; 0: all
  uint64_t threads = 0;  ///< 0: all cores
};
struct EvalArguments : MeasureArguments {
  std::string form;  ///< pairs, stream or multiturn
  std::vector<std::string> files;
  uint64_t seed = 1;
  bool both_orders = false;
  uint64_t examples = 0;
  std::optional<double> zipf;
  uint64_t requests = 20'000;
};

int eval(const Common& common, const EvalArguments& wanted);

/// Everything the command line can say to them.
struct EvalCommands {
  EvalArguments eval;
};
/// Adds them to `app`; running one sets `exit_code`. All arguments outlive the parsing.
void add_eval_commands(CLI::App& app, const Common& common, EvalCommands& commands, int& exit_code);

}  // namespace enhanced_gptcache::cli
