#pragma once
// What eval, tune and replay need before they can start: settings, model, options of the cache.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/eval_commands.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/options.h"
#include "eval/line_reader.h"

namespace enhanced_gptcache::cli {

struct Session {
  std::shared_ptr<const config::Loaded> loaded;
  Options options;  ///< of a cache in memory
  std::shared_ptr<const Embedder> embedder;
  size_t threads = 1;
  std::string policy;  ///< that decides: not the configured one when its parts are missing
};

/// Loads settings and model, or says on stderr why not and returns the exit code. An embedder the session
/// has already is used instead of opening the model again.
int open_session(const Common& common, const MeasureArguments& wanted, Session& session);

/// Says so when the settings would serve only part of what the decision lets through.
void warn_if_not_serving(const Session& session);

/// Which decision was measured, for the head of a result.
nlohmann::ordered_json session_json(const Session& session);
std::string session_text(const Session& session);

/// Names the skipped lines on stderr.
void report_skipped(const std::string& path, const eval::LineOutcome& lines);
/// Prints "error: ..." and returns the exit code that goes with the error.
int report_error(const Error& error);
/// Writes a file the flag named, or says that it cannot; the exit code.
int write_file(std::string_view flag, const std::string& path, std::string_view text);
/// Prints the result (JSON or `text`) and writes --output; the exit code.
int deliver(const MeasureArguments& wanted, const nlohmann::ordered_json& result, const std::string& text);

}  // namespace enhanced_gptcache::cli
