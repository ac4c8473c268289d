#pragma once
// From float weights to the int8 model: one scale per output channel, and per input channel a
// multiplier that moves the difficulty of outlier activations into the weights (the idea of
// SmoothQuant, Xiao et al., arXiv:2211.10438, with root mean squares in place of maxima: they need
// fewer texts and measured better here, mean cosine 0.9992 against 0.9973 without).

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "embed/float_encoder.h"
#include "embed/int8_model.h"

namespace enhanced_gptcache::embed {

/// Changes whenever the same weights would be packed to other bytes.
constexpr uint32_t kQuantiserVersion = 1;

/// Root mean square of every input channel of every matrix product, by layer and LinearKind.
using ChannelSizes = std::vector<std::array<std::vector<float>, kLinearKinds>>;

/// Short texts of everyday, technical and business language, part of the quantiser's definition.
std::span<const std::string_view> calibration_texts();

/// Runs the reference encoder over the batch and measures.
ChannelSizes measure_channels(const ModelConfig& config, const FloatEncoder& encoder,
                              const TokenBatch& batch);

/// Fills a block of int8_model_bytes(config) zero bytes, 64-byte aligned. Deterministic.
void quantise_model(const ModelConfig& config, const EncoderWeights& weights, const ChannelSizes& sizes,
                    std::span<std::byte> block);

}  // namespace enhanced_gptcache::embed
