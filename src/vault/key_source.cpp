#include "vault/key_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/descriptor.h"
#include "vault/key_ring.h"

extern char** environ;

namespace enhanced_gptcache::vault {
namespace {

constexpr size_t kTextBytesMax = size_t{64} << 10U;

/// Reads to the end, or until the time is over.
Result<std::string> read_all(int fd, int seconds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds);
  std::string text;
  char buffer[4096];
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd waiting{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) == 0)
      return fail(ErrorCode::kUnavailable, fmt::format("was not done after {} s", seconds));
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::kIo, fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kTextBytesMax)
      return fail(ErrorCode::kInvalidArgument, fmt::format("is larger than {} bytes", kTextBytesMax));
  }
}

Result<pid_t> start_shell(const std::string& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  // A group of its own, so that what the command starts ends with it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh", option = "-c", text = command;
  char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return fail(ErrorCode::kUnavailable, fmt::format("cannot be started: {}", std::strerror(error)));
  return pid;
}

}  // namespace

Result<std::string> run_key_command(const std::string& command) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail(ErrorCode::kIo, std::strerror(errno));
  const base::Descriptor from(ends[0]);
  base::Descriptor to(ends[1]);
  EGPTC_TRY(const pid_t pid, start_shell(command, to.get()));
  to.reset();
  auto text = read_all(from.get(), kKeyCommandSeconds);
  if (!text) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (!text) return text;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(ErrorCode::kUnavailable, WIFEXITED(status)
                                             ? fmt::format("ended with status {}", WEXITSTATUS(status))
                                             : fmt::format("was ended by signal {}", WTERMSIG(status)));
  return text;
}

}  // namespace enhanced_gptcache::vault
