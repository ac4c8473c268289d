#pragma once
// What the fuzz targets share: taking choices from the front of the input, and stopping the run when a
// property fails. A target states what must hold for any bytes, not only that nothing crashes.

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace enhanced_gptcache::fuzz {

/// Confined to one run of a target.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : bytes_(reinterpret_cast<const char*>(data), size) {}
  /// A number below `limit` from the first byte; 0 at the end.
  size_t choice(size_t limit) {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte % limit;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

/// Ends the run with the input kept, as libFuzzer does for a crash.
inline void must(bool holds, const char* what) {
  if (holds) return;
  ::dprintf(STDERR_FILENO, "property does not hold: %s\n", what);
  std::abort();
}

/// For targets that damage what is logged about. The log takes its stream at its first line; libFuzzer has
/// its own already.
inline void silence_log() {
  if (FILE* nowhere = std::fopen("/dev/null", "w")) stderr = nowhere;
}

/// Gives `whole` to `feed` in pieces of `piece` bytes.
template <typename Feed>
void in_pieces(std::string_view whole, size_t piece, const Feed& feed) {
  while (!whole.empty()) {
    const size_t size = std::min(piece, whole.size());
    feed(whole.substr(0, size));
    whole.remove_prefix(size);
  }
}

}  // namespace enhanced_gptcache::fuzz
