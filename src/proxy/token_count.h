#pragma once
// What an answer cost by the provider's account.

#include <cstdint>

namespace enhanced_gptcache::proxy {

struct TokenCount {
  uint64_t prompt = 0;
  uint64_t completion = 0;
  uint64_t total() const { return prompt + completion; }
};

}  // namespace enhanced_gptcache::proxy
