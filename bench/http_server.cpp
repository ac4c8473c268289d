// The whole of src/http's server with a handler that answers at once from shared bytes, as an exact
// hit does; to be compared with http_loop and with nginx on the same core.
//
//   http_server PORT [THREADS]
//   enhanced-gptcache bench --server http://127.0.0.1:PORT --bodies FILE --connections 16

#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "http/server.h"

using namespace enhanced_gptcache;

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: http_server PORT [THREADS]\n");
    return 2;
  }
  http::ServerOptions options;
  options.port = static_cast<uint16_t>(std::atoi(argv[1]));
  options.threads = argc > 2 ? static_cast<size_t>(std::atoi(argv[2])) : 1;
  http::Server server(options);
  const auto body = std::make_shared<const std::string>(std::string(634, 'x'));
  server.route("POST", "/v1/chat/completions", [body](http::ExchangePtr exchange) {
    http::Response response;
    response.headers = {{"Content-Type", "application/json"}, {"X-Cache", "HIT"}, {"X-Cache-Layer", "exact"}};
    response.body_owner = body;
    response.shared_body = *body;
    exchange->send(std::move(response));
  });
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (const auto started = server.start(); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  server.drain(1000);
  return 0;
}
