#pragma once
// The file of one graph (docs/formats.md, "Graph snapshot"): ids of entries and which of them are linked.
// No text, no vector: nothing in it says what an entry is about. Written and read block by block, each with a
// checksum under the instance key, so that a cut, changed or foreign file is told from a good one.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"
#include "index/graph_rows.h"

namespace enhanced_gptcache::cache {

/// What a graph is only good for.
struct GraphFileHead {
  uint32_t dimensions = 0;
  base::Hash128 partition;
  base::Hash128 model;  ///< keyed hash of the embedding model's epoch
  friend bool operator==(const GraphFileHead&, const GraphFileHead&) = default;
};

/// A row as it is in the file; without an id: nothing is there.
struct GraphFileRow {
  base::Hash128 id;
  std::array<uint32_t, index::kLinksMax> links;  ///< the end of a shorter list holds index::kNoRow

  bool is_empty() const { return id == base::Hash128(); }
};

/// Rows of one block, at most.
inline constexpr size_t kGraphBlockRows = 4096;

/// Thread rule: one thread. The file is there under its name after finish() only. Errors are kIo.
class GraphFileWriter {
 public:
  static Result<GraphFileWriter> create(const std::string& path, const base::SecretKey& key,
                                        const GraphFileHead& head);
  GraphFileWriter(GraphFileWriter&&) = default;
  ~GraphFileWriter();

  /// At most kGraphBlockRows.
  Result<void> add(std::span<const GraphFileRow> rows);
  Result<void> finish();

 private:
  GraphFileWriter(std::string path, const base::SecretKey& key, base::Descriptor file)
      : path_(std::move(path)), key_(key), file_(std::move(file)) {}
  Result<void> write_block(uint32_t rows, std::string_view payload);
  Result<void> write(std::string_view bytes);
  std::string new_path() const { return path_ + ".new"; }

  std::string path_;
  base::SecretKey key_;
  base::Descriptor file_;  // closed once finished
  std::string head_;
  uint64_t blocks_ = 0, rows_ = 0;
};

/// Thread rule: one thread. Believes nothing: kCorrupt for what is cut, changed or of another instance key,
/// kUnsupported for a newer version, kNotFound, kIo.
class GraphFileReader {
 public:
  static Result<GraphFileReader> open(const std::string& path, const base::SecretKey& key);

  const GraphFileHead& head() const { return head_; }
  /// The next block in place of `rows`; empty after the last one, when the whole file has been seen to be
  /// good.
  Result<void> next(std::vector<GraphFileRow>& rows);
  /// Back to the first block.
  Result<void> rewind();

 private:
  GraphFileReader(const base::SecretKey& key, base::Descriptor file) : key_(key), file_(std::move(file)) {}
  Result<void> read_head();
  Result<void> read_exactly(char* out, size_t bytes);

  base::SecretKey key_;
  base::Descriptor file_;
  std::string head_bytes_;
  GraphFileHead head_;
  std::string payload_;
  uint64_t blocks_ = 0, rows_ = 0;
};

}  // namespace enhanced_gptcache::cache
