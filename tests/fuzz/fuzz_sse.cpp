// Event streams of providers: passed on byte for byte, read and learned, however they are cut.

#include "input.h"
#include "proxy/answer_reader.h"
#include "proxy/replay.h"
#include "proxy/sse_reader.h"

using namespace enhanced_gptcache;

namespace {

std::string all_events(std::string_view bytes, size_t piece) {
  proxy::SseReader reader(4096);
  std::string out;
  fuzz::in_pieces(bytes, piece, [&](std::string_view part) {
    reader.feed(part);
    while (const auto event = reader.next()) out += event->raw;
  });
  return out + reader.take_rest();
}

struct Passed {
  std::string bytes;
  Result<proxy::Answer> answer;
};

Passed passed(const proxy::AnswerRules& rules, std::string_view bytes, size_t piece) {
  proxy::AnswerReader reader(rules);
  std::string out;
  fuzz::in_pieces(bytes, piece, [&](std::string_view part) { out += reader.feed(std::string(part)); });
  out += reader.finish();
  return {std::move(out), reader.take_answer()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  proxy::AnswerRules rules;
  rules.dialect = input.choice(2) == 0 ? proxy::Dialect::kChat : proxy::Dialect::kCompletions;
  rules.event_stream = true;
  rules.learn = true;
  rules.learn_bytes_max = 65536;
  const size_t piece = 1 + input.choice(32);
  const std::string_view bytes = input.rest();
  fuzz::must(all_events(bytes, piece) == bytes, "no byte of a stream is lost");
  const Passed whole = passed(rules, bytes, SIZE_MAX);
  const Passed cut = passed(rules, bytes, piece);
  fuzz::must(whole.bytes == bytes && cut.bytes == bytes, "a stream is passed on as it came");
  fuzz::must(whole.answer.has_value() == cut.answer.has_value(), "pieces are learned as the whole");
  if (whole.answer) {
    fuzz::must(whole.answer->completion == cut.answer->completion, "and are the same answer");
    fuzz::must(proxy::render_sse(rules.dialect, whole.answer->completion, {true, "id", 1}).has_value(),
               "what was learned from a stream can be served as one");
  }
  rules.strip_usage = true;
  fuzz::must(passed(rules, bytes, piece).bytes.size() <= bytes.size(), "stripping adds nothing");
  return 0;
}
