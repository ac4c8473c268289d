#pragma once
// Runs BERT layers on int8 weights: per row dynamic activations times per channel weights in exact
// int32 sums, everything between the products in float. The sentence encoder and the pair encoder are
// both made of it; they differ in what goes in and in what is read at the end.

#include <span>

#include "embed/int8_model.h"
#include "simd/kernel_table.h"

namespace enhanced_gptcache::embed {

/// Arrays of one pass inside the calling thread's buffer, which its next Int8Workspace reuses. Row
/// strides are padded column counts, because the products write whole panels; padding columns come out
/// as 0 (their scales and biases are 0). Thread rule: confined to the thread that made it.
struct Int8Workspace {
  size_t rows = 0;
  size_t hidden_stride = 0;
  size_t qkv_stride = 0;
  size_t wide_stride = 0;
  float* hidden = nullptr;  ///< the residual stream
  float* qkv = nullptr;
  float* context = nullptr;  ///< what attention gives
  float* wide = nullptr;     ///< between the two feed-forward products
  float* scratch = nullptr;  ///< of the attention kernel
  int8_t* quantised = nullptr;
  float* scales = nullptr;
  int32_t* sums = nullptr;

  /// Room for `row_count` rows of texts of at most `text_tokens_max`; `hidden` is all 0.
  Int8Workspace(const ModelConfig& config, size_t row_count, size_t text_tokens_max);
};

/// Thread rule: immutable; every method works on the workspace it is given. Text t of a workspace is its
/// rows ends[t - 1] .. ends[t] (from 0 for the first).
class Int8LayerRunner final {
 public:
  Int8LayerRunner(const ModelConfig& config, const simd::KernelTable& kernels)
      : config_(config), kernels_(kernels) {}

  /// Layer norm of every row of work.hidden, in place.
  void normalise_rows(const Int8Workspace& work, const float* gamma, const float* beta) const;
  void run_layer(const Int8Layer& layer, std::span<const size_t> ends, const Int8Workspace& work) const;
  /// The layer for the first row of each text only, attending to all its rows: row t of work.hidden is then
  /// that of text t, the others are lost. A sixth of the work of run_layer, for a last layer.
  void run_layer_first_rows(const Int8Layer& layer, std::span<const size_t> ends,
                            const Int8Workspace& work) const;

 private:
  struct Columns {
    size_t begin = 0, end = 0;  ///< multiples of simd::kPanelColumns
  };
  struct Product {
    const Int8Linear& linear;
    Columns columns;
    const float* inputs;
    size_t input_stride;
    const float* residual;  ///< or null; rows of output_stride
    float* outputs;         ///< of columns.begin
    size_t output_stride;
    bool activated;
  };

  void finish_layer(const Int8Layer& layer, const Int8Workspace& work) const;
  void attend(std::span<const size_t> ends, const Int8Workspace& work) const;
  void attend_first_rows(std::span<const size_t> ends, const Int8Workspace& work) const;
  void multiply(const Product& product, const Int8Workspace& work) const;

  const ModelConfig config_;
  const simd::KernelTable& kernels_;
};

}  // namespace enhanced_gptcache::embed
