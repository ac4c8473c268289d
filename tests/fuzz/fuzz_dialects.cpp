// Request bodies of every dialect, and answers of providers as JSON: what decides which entry a request may
// be answered by, and what is learned.

#include "base/canonical_json.h"
#include "input.h"
#include "proxy/completion.h"
#include "proxy/controls.h"
#include "proxy/replay.h"
#include "proxy/request_body.h"

using namespace enhanced_gptcache;

namespace {

constexpr proxy::Dialect kDialects[] = {proxy::Dialect::kChat, proxy::Dialect::kCompletions,
                                        proxy::Dialect::kEmbeddings};

void request(proxy::Dialect dialect, std::string_view text) {
  auto body = proxy::parse_body(dialect, text, {});
  if (!body) {
    fuzz::must(body.error().status >= 400 && !body.error().message.empty(), "a refusal says why");
    return;
  }
  // Sent again in canonical form it is the same request: the key depends on no spelling.
  const auto again = proxy::parse_body(dialect, body->document, {});
  fuzz::must(again.has_value(), "the canonical form is a request");
  fuzz::must(again->canonical == body->canonical && again->model == body->model, "one key for one meaning");
  Prompt prompt;
  prompt.canonical = body->canonical;
  if (!proxy::complete_prompt(*body, {true, {}}, prompt)) return;
  // Masking and naming are for keys and partitions, so they must be stable too.
  Prompt same;
  same.canonical = body->canonical;
  fuzz::must(proxy::complete_prompt(*again, {true, {}}, same).has_value(), "it is still a request");
  fuzz::must(same.query == prompt.query && same.system == prompt.system && same.shape == prompt.shape,
             "one partition for one meaning");
}

void answer(proxy::Dialect dialect, std::string_view text) {
  const auto learned = proxy::admit(dialect, text);
  if (!learned) {
    fuzz::must(!learned.error().message.empty(), "a refusal says why");
    return;
  }
  fuzz::must(base::canonical_json(learned->completion).has_value(), "what is kept is JSON");
  // What was learned can be learned again, and says the same.
  const auto again = proxy::admit(dialect, learned->completion);
  fuzz::must(again.has_value() && again->text == learned->text, "learning is stable");
  if (dialect != proxy::Dialect::kEmbeddings)
    (void)proxy::render_sse(dialect, learned->completion, {true, "id", 1});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const proxy::Dialect dialect = kDialects[input.choice(3)];
  if (input.choice(2) == 0)
    request(dialect, input.rest());
  else
    answer(dialect, input.rest());
  return 0;
}
