#pragma once
// One provider answer on its way through a flight: what may be published as it is, what has to be
// taken out, and what is learned from it. No waiting in here, so it is tested without a network.

#include <optional>
#include <string>
#include <string_view>

#include "proxy/completion.h"
#include "proxy/sse_reader.h"
#include "proxy/stream_assembler.h"

namespace enhanced_gptcache::proxy {

struct AnswerRules {
  Dialect dialect = Dialect::kChat;
  bool event_stream = false;
  bool strip_usage = false;  ///< take the usage chunk out of the stream
  bool learn = false;
  size_t learn_bytes_max = size_t{1} << 20U;
};

/// Thread rule: confined to its user.
class AnswerReader {
 public:
  explicit AnswerReader(AnswerRules rules);

  /// Bytes the caller gets for these bytes of the provider: all of them, at once, unless usage is
  /// stripped; then whole events.
  std::string feed(std::string piece);
  /// The provider's answer has ended properly: what was still held back.
  std::string finish();
  /// [DONE] has come: nothing more will change what is learned.
  bool is_terminated() const { return assembler_.is_terminated(); }
  /// The answer to learn, or in one word why not. Call once, after termination or the end.
  Result<Answer> take_answer();
  /// As far as the answer said.
  TokenCount tokens_spent() const { return tokens_spent_; }

 private:
  void read_event(const SseEvent& event);

  const AnswerRules rules_;
  SseReader sse_;
  StreamAssembler assembler_;
  std::string body_;  // of a JSON answer
  size_t bytes_ = 0;
  bool unreadable_ = false;  // an event over the limit: passed on, not read
  TokenCount tokens_spent_;
};

}  // namespace enhanced_gptcache::proxy
