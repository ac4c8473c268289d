#include "app/inherited_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace enhanced_gptcache::app {
namespace {

/// By sd_listen_fds(3) the first socket has this number.
constexpr int kFirst = 3;

/// A whole number in the environment; -1: none.
long number_in(const char* name) {
  const char* const text = ::getenv(name);
  if (text == nullptr) return -1;
  const std::string_view view(text);
  long value = -1;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc() && end == view.data() + view.size() ? value : -1;
}

}  // namespace

Result<int> take_inherited_socket() {
  const bool is_ours = number_in("LISTEN_PID") == ::getpid();
  const long count = number_in("LISTEN_FDS");
  for (const char* const name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!is_ours || count <= 0) return -1;
  if (count > 1)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("LISTEN_FDS is {}: the service manager may pass one socket", count));
  int listens = 0;
  socklen_t size = sizeof listens;
  if (::getsockopt(kFirst, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0)
    return fail(ErrorCode::kInvalidArgument,
                "LISTEN_FDS names a file descriptor that is no listening socket (ListenStream, Accept=no)");
  ::fcntl(kFirst, F_SETFD, FD_CLOEXEC);
  return kFirst;
}

}  // namespace enhanced_gptcache::app
