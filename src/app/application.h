#pragma once
// The wiring of the server, by hand, readable from top to bottom: settings, storage folder, model,
// cache, upstream client, proxy, endpoints, listener. Torn down in the reverse order.

#include <memory>
#include <string>

#include "config/loader.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::app {

/// A running server. Thread rule: start(), reload() and stop() from one thread.
class Application {
 public:
  /// Opens everything and starts to listen. Every failure is one sentence that names the setting or file.
  static Result<std::unique_ptr<Application>> start(config::LoadRequest request,
                                                    std::shared_ptr<const config::Loaded> loaded);
  ~Application();
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

  uint16_t port() const;  ///< 0 once stopped
  /// SIGHUP: reads the settings again; an invalid file changes nothing and is logged.
  void reload();
  /// Answers /ready with 503 (server.drain_delay_seconds), lets running requests finish
  /// (server.drain_timeout_seconds), then stops.
  void stop();

 private:
  class Impl;
  explicit Application(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Runs a server until SIGTERM or SIGINT; SIGHUP reloads. The exit code of `serve`.
int serve(config::LoadRequest request, std::shared_ptr<const config::Loaded> loaded);

}  // namespace enhanced_gptcache::app
