#pragma once
// Keeps the public keys of tokens fresh: from a file that may change, or from the issuer's address.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "security/jwt.h"

namespace enhanced_gptcache::app {

struct JwksOptions {
  std::string file, url;  ///< one of them
  double refresh_seconds = 300;
  std::string ca_file;  ///< trusted besides the system's authorities
  bool is_used() const { return !file.empty() || !url.empty(); }
};

/// Thread rule: any thread; one thread of its own. `verifier` outlives it.
class JwksSource {
 public:
  /// A file is read before it returns, an address in the background (tokens are refused until then).
  /// kInvalidArgument, kNotFound, kIo: the file is none.
  static Result<std::unique_ptr<JwksSource>> start(JwksOptions options, security::JwtVerifier& verifier);
  ~JwksSource();
  JwksSource(const JwksSource&) = delete;
  JwksSource& operator=(const JwksSource&) = delete;

  /// A token named an unknown key: looks again soon.
  void look_again();

 private:
  JwksSource(JwksOptions options, security::JwtVerifier& verifier);
  Result<void> load();
  void run();

  const JwksOptions options_;
  security::JwtVerifier& verifier_;
  std::string loaded_text_;  // of its own thread after start()
  std::mutex mutex_;
  std::condition_variable wake_;
  bool asked_ = false;     // guarded by mutex_
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace enhanced_gptcache::app
