#pragma once
// Tests only: rows of the shared evaluation data, which is not part of the repository. Found by the
// environment variable EGPTC_SHARED_DATA or as ../shared/data; tests skip without it.

#include <simdjson.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

namespace enhanced_gptcache::fakes {

inline std::filesystem::path shared_data_folder() {
  if (const char* set = std::getenv("EGPTC_SHARED_DATA")) return set;
  return std::filesystem::path(EGPTC_SOURCE_DIR).parent_path() / "shared" / "data";
}

/// Calls `use` with each JSON row of <folder>/<name>.dev.jsonl.gz; how many there were, 0 without the file.
inline size_t for_each_row(const char* name, const std::function<void(simdjson::dom::element)>& use) {
  const std::filesystem::path path = shared_data_folder() / (std::string(name) + ".dev.jsonl.gz");
  if (!std::filesystem::exists(path)) return 0;
  std::FILE* pipe = ::popen(("gzip -dc '" + path.string() + "'").c_str(), "r");
  if (pipe == nullptr) return 0;
  simdjson::dom::parser parser;
  size_t rows = 0;
  char* line = nullptr;
  size_t capacity = 0;
  for (ssize_t length = 0; (length = ::getline(&line, &capacity, pipe)) > 0; ++rows)
    use(parser.parse(line, static_cast<size_t>(length)).value_unsafe());
  std::free(line);
  ::pclose(pipe);
  return rows;
}

inline std::string_view text_of(simdjson::dom::element row, const char* key) {
  std::string_view text;
  return row[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

inline bool is_positive(simdjson::dom::element row) {
  int64_t label = 0;
  return row["label"].get(label) == simdjson::SUCCESS && label == 1;
}

}  // namespace enhanced_gptcache::fakes
