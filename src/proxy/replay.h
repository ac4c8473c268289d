#pragma once
// An entry as a server-sent event stream in the form the provider streams: role first, words of the
// content, pieces of tool arguments, the finish reason, usage if asked for, [DONE]. Putting the
// chunks together again gives the entry's answer, field for field.

#include <string>
#include <string_view>

#include "proxy/completion.h"

namespace enhanced_gptcache::proxy {

struct ReplayOptions {
  bool include_usage = false;
  std::string id;  ///< of every chunk
  int64_t created_s = 0;
};

/// `completion` is the canonical text of an answer of `dialect`. The whole stream as one string.
/// kCorrupt: not an answer of that dialect.
Result<std::string> render_sse(Dialect dialect, std::string_view completion, const ReplayOptions& options);

/// The same for an entry, native strings included.
Result<std::string> render_sse(const Entry& entry, Dialect dialect, std::string_view model,
                               bool include_usage, int64_t now_s);

/// Pieces of `text` that end after blanks, so that words stay whole; at most 256 pieces, and none is
/// empty or ends inside a UTF-8 sequence.
std::vector<std::string_view> natural_pieces(std::string_view text);

}  // namespace enhanced_gptcache::proxy
