#pragma once
// tar.gz files of regular files, written and read one file after the other (libarchive), as they are or
// encrypted as a whole (vault/sealed_stream.h). Reading trusts nothing: names stay below the folder, links
// and devices are refused, sizes are limited.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"
#include "vault/key_ring.h"

struct archive;

namespace enhanced_gptcache::backup {

/// What one file in an archive is.
struct ArchivedFile {
  std::string name;  ///< relative, with slashes
  uint64_t bytes = 0;
  std::string sha256;  ///< 64 hexadecimal digits
};

/// Thread rule: one thread. The archive is complete only after close().
class ArchiveWriter {
 public:
  /// Makes `path` with mode 0600; it must not exist. `key` null: it is not encrypted.
  static Result<std::unique_ptr<ArchiveWriter>> create(const std::string& path, const vault::MasterKey* key);
  ~ArchiveWriter();
  ArchiveWriter(const ArchiveWriter&) = delete;
  ArchiveWriter& operator=(const ArchiveWriter&) = delete;

  /// Takes as many bytes of `from` as it has now; a file that grows meanwhile is cut there.
  Result<ArchivedFile> add_file(const std::string& name, const std::string& from);
  Result<void> add_text(const std::string& name, std::string_view text);
  Result<void> close();

 private:
  struct Sink;
  explicit ArchiveWriter(archive* to);
  Result<void> begin(const std::string& name, uint64_t bytes, int64_t modified_s, unsigned mode);
  archive* to_;
  std::unique_ptr<Sink> sink_;  // null: not encrypted
};

/// Calls `each` for every file with its content as it is read in pieces: first with the file's head
/// (`piece` empty), then with each piece, and at the end with `is_end`. `keys` open an encrypted one; null:
/// there are none. kCorrupt: not an archive of ours, cut or changed; kInvalidArgument: it holds a name or a
/// kind of file that is not allowed, or is encrypted by a key that is not among them.
struct ArchivePiece {
  const std::string& name;
  uint64_t bytes;  ///< of the whole file
  unsigned mode;
  int64_t modified_s;
  std::string_view piece;
  bool is_end;
};
Result<void> read_archive(const std::string& path, const std::shared_ptr<const vault::KeyRing>& keys,
                          const std::function<Result<void>(const ArchivePiece&)>& each);

/// Whether the file begins as an encrypted archive does. kNotFound, kIo.
Result<bool> is_encrypted_archive(const std::string& path);

/// Of a stream of pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void add(std::string_view piece);
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace enhanced_gptcache::backup
