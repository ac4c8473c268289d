#include "proxy/answer_reader.h"

namespace enhanced_gptcache::proxy {

AnswerReader::AnswerReader(AnswerRules rules)
    : rules_(rules), sse_(rules.learn_bytes_max), assembler_(rules.dialect) {}

std::string AnswerReader::feed(std::string piece) {
  bytes_ += piece.size();
  const bool learnable = rules_.learn && bytes_ <= 4 * rules_.learn_bytes_max;
  if (!rules_.event_stream) {
    // Read for its usage even when it is not learned, while it is small.
    if (bytes_ <= rules_.learn_bytes_max) body_ += piece;
    return piece;
  }
  if (unreadable_ || (!learnable && !rules_.strip_usage)) {
    unreadable_ = true;
    return piece;
  }
  sse_.feed(piece);
  std::string out;
  while (auto event = sse_.next()) {
    const bool stripped = rules_.strip_usage && is_usage_chunk(event->data);
    read_event(*event);
    if (rules_.strip_usage && !stripped) out += event->raw;
  }
  if (!sse_.is_too_long()) return rules_.strip_usage ? out : piece;
  unreadable_ = true;
  std::string rest = sse_.take_rest();
  return rules_.strip_usage ? out + rest : piece;
}

void AnswerReader::read_event(const SseEvent& event) {
  // An answer far over the limit cannot be learned; a stripped stream is still read event by event.
  if (bytes_ <= 4 * rules_.learn_bytes_max) assembler_.add(event.data);
}

std::string AnswerReader::finish() {
  return rules_.event_stream && rules_.strip_usage ? sse_.take_rest() : "";
}

Result<Answer> AnswerReader::take_answer() {
  Result<Answer> answer = fail(ErrorCode::kInvalidArgument, "too_large");
  if (!rules_.event_stream) {
    if (bytes_ <= rules_.learn_bytes_max) answer = admit(rules_.dialect, body_, &tokens_spent_);
  } else if (unreadable_ || bytes_ > 4 * rules_.learn_bytes_max) {
    return answer;
  } else if (assembler_.is_broken()) {
    answer = fail(ErrorCode::kInvalidArgument, "malformed");
  } else if (!assembler_.is_terminated()) {
    answer = fail(ErrorCode::kInvalidArgument, "cut");
  } else {
    answer = admit_document(rules_.dialect, assembler_.take(), &tokens_spent_);
  }
  if (!answer) return answer;
  if (answer->completion.size() > rules_.learn_bytes_max)
    return fail(ErrorCode::kInvalidArgument, "too_large");
  return answer;
}

}  // namespace enhanced_gptcache::proxy
