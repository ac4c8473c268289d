#pragma once
// Collecting what is wrong with settings, one by one, with the place it was found at.

#include <string>
#include <utility>
#include <vector>

namespace enhanced_gptcache::config {

/// One thing that is wrong, or worth a warning.
struct Problem {
  std::string source;   ///< "config.yaml:12", "EGPTC_SERVER__PORT", "--server.port", the admin file
  int line = 0;         ///< of a file, 1-based; 0: no line
  std::string key;      ///< "cache.size_mb"; empty: the whole file
  std::string value;    ///< as given, secrets masked; empty: none
  std::string message;  ///< with the allowed range
  /// "source: key: message (got value)", one line.
  std::string text() const;
  /// "key: value, message", for whoever sent the value and knows where it came from.
  std::string request_text() const;
};

/// Where the value being looked at comes from, and where its problems go. Confined to one load.
class ProblemSink {
 public:
  ProblemSink(std::string source, std::vector<Problem>& problems)
      : source_(std::move(source)), problems_(problems) {}
  void add(int line, std::string key, std::string value, std::string message) const;
  /// "config.yaml:12", or the source alone without a line.
  std::string place(int line) const;

 private:
  std::string source_;
  std::vector<Problem>& problems_;
};

inline constexpr const char* kMasked = "********";

}  // namespace enhanced_gptcache::config
