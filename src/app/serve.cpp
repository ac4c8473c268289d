#include <pthread.h>
#include <signal.h>

#include "app/application.h"
#include "base/log.h"

namespace enhanced_gptcache::app {
namespace {

/// The signals this process acts on. Blocked in every thread (before any is made) and taken by
/// sigwait, so that nothing runs inside a signal handler.
sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

int serve(config::LoadRequest request, std::shared_ptr<const config::Loaded> loaded) {
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a client that went away is an error code of write, not a death
  auto application = Application::start(std::move(request), std::move(loaded));
  if (!application) {
    base::log_error("cannot start: {}", application.error().message);
    return 1;
  }
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      (*application)->reload();
      continue;
    }
    base::log_info("{}: finishing what runs, then stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    break;
  }
  // From here on a second signal ends the process at once, as an impatient operator expects.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*application)->stop();
  return 0;
}

}  // namespace enhanced_gptcache::app
