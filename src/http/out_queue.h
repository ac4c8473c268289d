#pragma once
// Bytes on their way to a socket, written with as few system calls and copies as possible.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::http {

class TlsSession;

/// Confined to its connection's thread. Holds the strings, and the owners of shared bytes, until they are
/// written.
class OutQueue {
 public:
  enum class Progress { kEmpty, kBlocked, kBroken };

  void push(std::string bytes);
  /// `view` stays valid while `owner` lives; nothing is copied.
  void push_shared(std::shared_ptr<const void> owner, std::string_view view);
  /// Writes to the non-blocking `socket` until all is out, it would block, or it fails.
  Progress flush(int socket);
  /// The same through TLS.
  Progress flush(TlsSession& tls);
  bool empty() const { return first_ == pieces_.size(); }
  size_t bytes() const { return bytes_; }
  void clear();

 private:
  struct Piece {
    std::string own;
    std::shared_ptr<const void> owner;
    std::string_view shared;
    std::string_view view() const { return owner ? shared : std::string_view(own); }
  };
  void advance(size_t written);

  std::vector<Piece> pieces_;
  size_t first_ = 0;   // pieces before it are written; dropped together when all are
  size_t offset_ = 0;  // written bytes of the first piece
  size_t bytes_ = 0;   // left to write
};

}  // namespace enhanced_gptcache::http
