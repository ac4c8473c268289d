#pragma once
// Do two answers to one question say the same? Models rarely repeat themselves word for word, so most pairs
// cannot be told cheaply: those are undecided, and count for nothing.

#include <string_view>

#include "enhanced_gptcache/embedder.h"

namespace enhanced_gptcache::cache {

enum class Agreement { kAgree, kDisagree, kUndecided };

/// Cosine from which answers agree, unless a guard sees a number, name or negation that differs; and up to
/// which they disagree. Chosen wide apart on purpose: a wrong label does harm, a missing one none.
inline constexpr double kAgreeFrom = 0.95;
inline constexpr double kDisagreeTo = 0.50;

/// The same but for case, white space, punctuation and marks of emphasis.
bool is_same_text(std::string_view a, std::string_view b);
/// What embeddings and guards say of texts that are not the same. Texts cut by the model's window, and texts
/// without a common answer form, are undecided. Any thread.
Agreement compare_answers(std::string_view a, const Embedding& of_a, std::string_view b,
                          const Embedding& of_b);

}  // namespace enhanced_gptcache::cache
