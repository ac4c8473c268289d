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
  bool sweep = false;
  std::string plot;
  uint64_t examples = 0;
  std::optional<double> zipf;
  uint64_t requests = 20'000;
};

struct TuneArguments : MeasureArguments {
  std::vector<std::string> files;
  std::optional<double> target_error;  ///< unset: cache.target_error_rate
};
struct ReplayArguments : MeasureArguments {
  std::string log;
  std::string current;  ///< settings file of the current configuration; empty: the one serve would use
  uint64_t examples = 10;
  bool shadow = false;  ///< report what shadow mode would, of the candidate alone
};

int eval(const Common& common, const EvalArguments& wanted);
int tune(const Common& common, const TuneArguments& wanted);
/// --config and setting flags are the candidate.
int replay(const Common& common, const ReplayArguments& wanted);

/// Everything the command line can say to them.
struct EvalCommands {
  EvalArguments eval;
  TuneArguments tune;
  ReplayArguments replay;
};
/// Adds them to `app`; running one sets `exit_code`. All arguments outlive the parsing.
void add_eval_commands(CLI::App& app, const Common& common, EvalCommands& commands, int& exit_code);

}  // namespace enhanced_gptcache::cli
