#pragma once
// Sealing of what is too long for one piece, written and read from front to end: the STREAM construction
// (Hoang, Reyhanitabar, Rogaway, Vizar: Online Authenticated-Encryption and its Nonce-Reuse
// Misuse-Resistance, CRYPTO 2015) over the cipher of vault/cipher.h. Each piece is authenticated with its
// number and whether it is the last, so that pieces that were changed, cut off, repeated, left out or moved
// do not open; nothing of a piece is given out before it has been authenticated.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"
#include "vault/key_ring.h"

namespace enhanced_gptcache::vault {

inline constexpr size_t kStreamHeadBytes = 48;
/// Plain bytes in every piece but the last.
inline constexpr size_t kStreamPieceBytes = size_t{64} << 10U;

/// True for everything that begins as a sealed stream does, damaged or not.
bool looks_sealed_stream(std::string_view bytes);

/// Thread rule: one thread.
class StreamSealer {
 public:
  /// `purpose` is authenticated, not written: what the stream is, so that it opens as nothing else.
  StreamSealer(const MasterKey& key, std::string purpose);
  /// Appends to `out` what is ready, the head before all else.
  void add(std::string_view plain, std::string& out);
  /// The end; nothing is added afterwards. kInvalidArgument: more than 2^32 pieces (256 TiB), nothing of it
  /// may be used.
  Result<void> finish(std::string& out);

 private:
  void seal_piece(std::string_view plain, bool is_last, std::string& out);

  const std::shared_ptr<const Cipher> cipher_;
  std::string head_, context_, waiting_;
  uint64_t number_ = 0;
};

/// Thread rule: one thread.
class StreamOpener {
 public:
  StreamOpener(std::shared_ptr<const KeyRing> ring, std::string purpose)
      : ring_(std::move(ring)), purpose_(std::move(purpose)) {}
  /// Appends to `out` what of it has been authenticated. kInvalidArgument: sealed by a key that the ring
  /// lacks, named; kUnsupported: another version; kCorrupt: no such stream, or a piece does not open.
  Result<void> add(std::string_view sealed, std::string& out);
  /// All was added. kCorrupt: it is cut.
  Result<void> finish(std::string& out);

 private:
  Result<void> read_head();
  Result<void> open_piece(std::string_view sealed, bool is_last, std::string& out);

  const std::shared_ptr<const KeyRing> ring_;
  const std::string purpose_;
  std::shared_ptr<const Cipher> cipher_;  // null: the head is not there yet
  std::string head_, context_, waiting_;
  uint64_t number_ = 0;
};

}  // namespace enhanced_gptcache::vault
