#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/http_call.h"

namespace enhanced_gptcache::cli {
namespace {

using nlohmann::json;

constexpr size_t kBatch = 100;

/// What one run of `store` has done so far.
struct Tally {
  size_t stored = 0;
  size_t semantic = 0;
  size_t refused = 0;
};

class Sender {
 public:
  Sender(std::string url, http::Headers headers) : url_(std::move(url)), headers_(std::move(headers)) {}

  /// Sends what is waiting; false: the server is gone.
  bool send(std::vector<json>& waiting, Tally& tally) {
    if (waiting.empty()) return true;
    const auto answer =
        http_call(url_, "POST", "/cache/entries",
                  json{{"entries", waiting}}.dump(-1, ' ', false, json::error_handler_t::replace), headers_);
    if (!answer) {
      fmt::print(stderr, "error: {} does not answer ({}); {} entries were stored before it\n", url_,
                 answer.error().message, tally.stored);
      return false;
    }
    if (answer->status == 201) {
      const json body = json::parse(answer->body, nullptr, false);
      tally.stored += body["ids"].size();
      for (const json& semantic : body["semantic"]) tally.semantic += semantic.get<bool>() ? 1 : 0;
    } else if (waiting.size() > 1) {
      // One bad entry must not lose the ninety-nine good ones.
      for (json& one : waiting) {
        std::vector<json> single{std::move(one)};
        if (!send(single, tally)) return false;
      }
    } else {
      ++tally.refused;
      fmt::print(stderr, "refused: {}\n", error_text(*answer));
    }
    waiting.clear();
    return true;
  }

 private:
  std::string url_;
  http::Headers headers_;
};

int store_file(Sender& sender, const StoreArguments& wanted) {
  std::ifstream file;
  if (wanted.file != "-") file.open(wanted.file);
  if (wanted.file != "-" && !file) {
    fmt::print(stderr, "error: --file: cannot read {}\n", wanted.file);
    return 2;
  }
  std::istream& in = wanted.file == "-" ? std::cin : file;
  std::error_code ignored;
  if (wanted.file != "-" && std::filesystem::is_directory(wanted.file, ignored)) {
    fmt::print(stderr, "error: --file: {} is a folder\n", wanted.file);
    return 1;
  }
  Tally tally;
  std::vector<json> waiting;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    json entry = json::parse(line, nullptr, false);
    if (entry.is_discarded() || !entry.is_object()) {
      ++tally.refused;
      fmt::print(stderr, "refused: line {} is no JSON object\n", number);
      continue;
    }
    if (!wanted.name_space.empty() && !entry.contains("namespace")) entry["namespace"] = wanted.name_space;
    if (!wanted.model.empty() && !entry.contains("model")) entry["model"] = wanted.model;
    waiting.push_back(std::move(entry));
    if (waiting.size() == kBatch && !sender.send(waiting, tally)) return 1;
  }
  if (!sender.send(waiting, tally)) return 1;
  if (in.bad()) {
    fmt::print(stderr, "error: --file: cannot read on in {}\n", wanted.file);
    return 1;
  }
  fmt::print("{} stored ({} for meaning, {} for exact match only), {} refused\n", tally.stored,
             tally.semantic, tally.stored - tally.semantic, tally.refused);
  return tally.refused == 0 ? 0 : 1;
}

int store_one(Sender& sender, const StoreArguments& wanted) {
  if (wanted.query.empty() || wanted.response.empty()) {
    fmt::print(stderr, "error: give a question and an answer, or --file with one JSON object per line\n");
    return 2;
  }
  json entry = {{"query", wanted.query}, {"response", wanted.response}};
  if (!wanted.name_space.empty()) entry["namespace"] = wanted.name_space;
  if (!wanted.model.empty()) entry["model"] = wanted.model;
  if (!wanted.tags.empty()) entry["tags"] = wanted.tags;
  if (wanted.ttl_seconds > 0) entry["ttl_seconds"] = wanted.ttl_seconds;
  Tally tally;
  std::vector<json> waiting{std::move(entry)};
  if (!sender.send(waiting, tally) || tally.refused > 0) return 1;
  fmt::print("stored{}\n", tally.semantic == 1 ? "" : " (for exact match only)");
  return 0;
}

}  // namespace

int store(const Common& common, const StoreArguments& wanted) {
  int exit_code = 0;
  const auto loaded = load_or_report(common, exit_code);
  if (loaded == nullptr) return exit_code;
  auto headers = caller_credential(common, loaded->settings, wanted.key_variable, false);
  if (!headers) {
    fmt::print(stderr, "error: {}\n", headers.error().message);
    return 2;
  }
  Sender sender(server_url(common, loaded->settings), std::move(*headers));
  return wanted.file.empty() ? store_one(sender, wanted) : store_file(sender, wanted);
}

}  // namespace enhanced_gptcache::cli
