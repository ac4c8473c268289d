#pragma once
// Saved PCA models as bytes (docs/formats.md), and their files.

#include <memory>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"
#include "match/pca_model.h"

namespace enhanced_gptcache::match {

/// What a file holds: the moments, so that later fits go on from them, and the projection if there is one.
struct PcaState {
  std::string origin;  ///< empty: the file names none (version 1)
  size_t target = 0;
  Moments moments;
  std::unique_ptr<PcaModel> model;
};

std::string encode_pca(std::string_view origin, size_t target, const Moments& moments, const PcaModel* model);
/// Reads versions 1 and 2. kCorrupt: damaged, truncated or inconsistent; kUnsupported: a newer version.
Result<PcaState> decode_pca(std::string_view bytes);

/// Replaces the file at once or not at all (new file, fsync, rename, fsync of the folder). kIo.
Result<void> write_file_atomically(const std::string& path, std::string_view bytes);
/// kNotFound, kIo; kCorrupt: larger than `bytes_max`.
Result<std::string> read_file(const std::string& path, size_t bytes_max);

}  // namespace enhanced_gptcache::match
