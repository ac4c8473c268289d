#pragma once
// A streamed answer put together to the provider's non-streamed one: content, tool calls (parallel,
// split arguments), legacy function calls, reasoning, refusals, log probabilities, usage, n choices,
// and every field we do not know.

#include <string_view>

#include "proxy/completion.h"

namespace enhanced_gptcache::proxy {

/// Thread rule: confined to its user.
class StreamAssembler {
 public:
  explicit StreamAssembler(Dialect dialect) : dialect_(dialect) {}

  /// The data of one event. Malformed data makes the answer unusable, nothing else.
  void add(std::string_view data);
  /// [DONE] was seen.
  bool is_terminated() const { return terminated_; }
  /// Something came that no answer can be made of: an error object, broken JSON, a text that is no string.
  bool is_broken() const { return broken_; }
  uint64_t chunks() const { return chunks_; }
  /// The non-streamed answer. Only when terminated and not broken.
  Json take();

 private:
  void add_choice(const Json& chunk);
  Json& choice_at(uint64_t index);

  Dialect dialect_;
  Json document_ = Json::object();
  Json choices_ = Json::array();
  bool terminated_ = false;
  bool broken_ = false;
  uint64_t chunks_ = 0;
};

/// True for a chunk that carries usage and no choice: what stream_options.include_usage adds.
bool is_usage_chunk(std::string_view data);

}  // namespace enhanced_gptcache::proxy
