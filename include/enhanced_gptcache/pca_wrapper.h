#pragma once
// Principal component analysis of embeddings with an exact running mean and covariance: samples are
// added one by one, and each fit sees all of them without keeping any.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "enhanced_gptcache/options.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache {

/// A row-major matrix of `rows` x `columns` floats.
struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values;
};

/// Thread rule: transform() and fitted() from any thread while samples are added and fits run elsewhere.
class PCAWrapper {
 public:
  explicit PCAWrapper(const PcaOptions& options = {});
  ~PCAWrapper();
  PCAWrapper(const PCAWrapper&) = delete;
  PCAWrapper& operator=(const PCAWrapper&) = delete;

  /// Adds one sample of any dimension (the first fixes it). kInvalidArgument: another dimension, or not
  /// finite.
  Result<void> add(std::span<const float> sample);
  /// Fits on all samples so far. Components beyond min(samples - 1, dimension) are zero;
  /// effective_dimensions() tells. kUnavailable: fewer than two samples.
  Result<void> fit();
  bool fitted() const;
  /// target_dimensions() floats. kUnavailable before the first fit.
  Result<std::vector<float>> transform(std::span<const float> sample) const;
  /// add + fit + transform of all rows: rows x min(target_dimensions, columns).
  Result<Matrix> fit_transform(const Matrix& samples);

  size_t samples() const;
  size_t target_dimensions() const;
  size_t effective_dimensions() const;
  /// Share of the variance that the kept components carry, 0..1; 0 before the first fit.
  double explained_variance() const;
  /// Grows with every fit; 0 before the first.
  uint64_t version() const;

  /// Whose samples these are, of which model: kept in the file, for the owner to recognise its own. Empty
  /// until it is set, and after load() of a file that names none (format version 1).
  void set_origin(std::string origin);
  std::string origin() const;

  /// Versioned file with a checksum (docs/formats.md). load: kNotFound; kIo; kCorrupt names what is wrong;
  /// kUnsupported: a newer format, or other target_dimensions; kInvalidArgument: sealed with another key. On
  /// an error the object stays as it was.
  Result<void> save(const std::string& path) const;
  Result<void> load(const std::string& path);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace enhanced_gptcache
