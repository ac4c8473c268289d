#pragma once
// The files of the operator console as they lie in the binary: console/generated/ of the repository, put into
// a source file by tools/embed_files.py at build time.

#include <span>
#include <string_view>

namespace enhanced_gptcache::admin {

struct ConsoleFile {
  std::string_view name;  ///< "index.html"
  std::string_view type;  ///< Content-Type
  std::string_view plain;
  std::string_view gzip;  ///< the same, compressed
  std::string_view hash;  ///< of the plain bytes, for the entity tag
};

/// Thread rule: constants.
std::span<const ConsoleFile> console_files();

}  // namespace enhanced_gptcache::admin
