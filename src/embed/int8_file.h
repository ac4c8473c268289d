#pragma once
// The packed int8 file: written once beside the model, mapped by later starts.
//
// Bytes, little-endian: magic "EGPTINT8"; u32 format version; u32 quantiser version; u32 hidden_size,
// layers, heads, intermediate_size, vocab_size, max_positions; u64 payload bytes; 16 bytes hash of the
// source (weights, calibration tokens); 32 bytes SHA-256 of the weights file (its name for other
// artifacts, kept here because it takes half a second to compute); 16 bytes BLAKE2b of all header bytes
// before it and of the payload; zeros up to kHeaderBytes; then the payload in the layout of int8_model.h.
// The layout serves every kernel. A file that does not fit in any of these is never used: it is made anew.

#include <functional>
#include <string>

#include "base/keyed_hash.h"
#include "base/sha256.h"
#include "embed/aligned_buffer.h"
#include "embed/model_config.h"
#include "embed/model_files.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

constexpr uint32_t kInt8FormatVersion = 2;
constexpr size_t kInt8HeaderBytes = 128;

/// The payload, mapped or in memory. Thread rule: immutable once made.
class Int8Block final {
 public:
  Int8Block(MappedFile file, const base::Sha256& weights_sha256)
      : file_(std::move(file)), weights_sha256_(weights_sha256), mapped_(true) {}
  Int8Block(AlignedBuffer memory, const base::Sha256& weights_sha256)
      : memory_(std::move(memory)), weights_sha256_(weights_sha256) {}

  std::span<const std::byte> bytes() const {
    return mapped_ ? file_.bytes().subspan(kInt8HeaderBytes) : memory_.bytes();
  }
  /// The first bytes of a mapped block need not stay in memory: reading them again reads the file.
  void release_pages(size_t bytes) const;
  /// Of the model.safetensors the block was made from.
  const base::Sha256& weights_sha256() const { return weights_sha256_; }
  bool is_mapped() const { return mapped_; }

 private:
  MappedFile file_;
  AlignedBuffer memory_;
  base::Sha256 weights_sha256_{};
  bool mapped_ = false;
};

/// Maps and verifies. kNotFound, kIo: no such file or unreadable; kUnsupported: made from other weights or by
/// another version; kCorrupt: truncated or damaged.
Result<Int8Block> map_int8_file(const std::string& path, const ModelConfig& config,
                                const base::Hash128& source);

/// Writes under a temporary name, syncs, renames; nobody sees a partial file. The value is `path`.
/// kIo: the operating system's reason; no file is left behind.
Result<std::string> write_int8_file(const std::string& path, const ModelConfig& config,
                                    const base::Hash128& source, const Int8Block& block);

/// What a start does: map the file; if it is absent, stale or damaged, build(), write, map; if it cannot be
/// written, go on with the built block. Each case but the first is logged. Errors: those of build.
Result<Int8Block> open_int8_block(const std::string& path, const ModelConfig& config,
                                  const base::Hash128& source,
                                  const std::function<Result<Int8Block>()>& build);

}  // namespace enhanced_gptcache::embed
