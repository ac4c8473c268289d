#pragma once
// Lines of a text file, gzipped or not. A line that cannot be used is named and skipped; a file that
// is damaged fails as a whole, because figures over half a file would look like figures over all of it.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::eval {

inline constexpr size_t kLineBytesMax = size_t{4} << 20U;

struct SkippedLine {
  size_t line = 0;  ///< from 1
  std::string reason;
};

/// What came of one file.
struct LineOutcome {
  size_t used = 0;
  size_t skipped = 0;
  std::vector<SkippedLine> first_skipped;  ///< at most kSkippedNamedMax of them
};
inline constexpr size_t kSkippedNamedMax = 1000;

/// Takes one line that is not blank; an error skips it with that reason.
using LineTaker = std::function<Result<void>(std::string_view line)>;

/// Reads `path` ("-" is standard input) until its end or until `limit` lines were used (0: no limit).
/// kNotFound, kIo: it cannot be read; kCorrupt: the gzip stream is damaged or ends too early.
Result<LineOutcome> read_lines(const std::string& path, size_t limit, const LineTaker& take);

}  // namespace enhanced_gptcache::eval
