#include "proxy/replay.h"

#include <fmt/format.h>

#include "base/canonical_json.h"

namespace enhanced_gptcache::proxy {
namespace {

constexpr size_t kPiecesMax = 256;

/// Members of the answer every chunk repeats; others are sent once.
bool is_repeated(std::string_view name) { return name == "system_fingerprint" || name == "service_tier"; }

const Json* find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

/// `"name":"text"` for one piece of a text.
std::string text_member(std::string_view name, std::string_view text) {
  std::string out = "\"";
  out += name;
  out += "\":";
  base::append_json_string(out, text);
  return out;
}

/// Writes the chunks of one answer.
class ChunkWriter {
 public:
  ChunkWriter(Dialect dialect, const Json& document, const ReplayOptions& options) : options_(options) {
    chat_ = dialect == Dialect::kChat;
    const Json* model = find(document, "model");
    prefix_ = fmt::format(R"(data: {{"id":{},"object":"{}","created":{})", base::json_string(options.id),
                          chat_ ? "chat.completion.chunk" : "text_completion", options.created_s);
    if (model != nullptr) prefix_ += ",\"model\":" + model->dump();
    for (const auto& [name, value] : document.items()) {
      if (name == "id" || name == "object" || name == "created" || name == "model" || name == "choices" ||
          name == "usage")
        continue;
      (is_repeated(name) ? prefix_ : once_) += "," + base::json_string(name) + ":" + value.dump();
    }
    const bool usage = options.include_usage && document.contains("usage");
    suffix_ = usage ? ",\"usage\":null}\n\n" : "}\n\n";
  }

  /// `body` is the inside of the choice after its index.
  void choice(uint64_t index, std::string_view body) {
    out_ += prefix_;
    out_ += once_;
    once_.clear();
    fmt::format_to(std::back_inserter(out_), R"(,"choices":[{{"index":{},)", index);
    out_ += body;
    out_ += "}]";
    out_ += suffix_;
  }
  /// `logprobs` empty: the answer has no such field, so the chunks have none either.
  void delta(uint64_t index, std::string_view delta, std::string_view logprobs = {}) {
    body_ = R"("delta":{)";
    body_ += delta;
    body_ += "}";
    if (!logprobs.empty()) (body_ += R"(,"logprobs":)") += logprobs;
    body_ += R"(,"finish_reason":null)";
    choice(index, body_);
  }
  /// A delta for each piece of a text, on the thread that serves connections: what all have in common is put
  /// together once, with room for all. `logprobs` go with the first; null with the others, if there are any.
  void text_deltas(uint64_t index, std::string_view name, std::string_view text, std::string_view logprobs) {
    const std::vector<std::string_view> pieces = natural_pieces(text);
    if (pieces.empty()) return;
    delta(index, text_member(name, pieces.front()), logprobs);
    const std::string head =
        fmt::format(R"({},"choices":[{{"index":{},"delta":{{"{}":)", prefix_, index, name);
    const std::string tail = fmt::format(R"(}}{},"finish_reason":null}}]{})",
                                         logprobs.empty() ? "" : R"(,"logprobs":null)", suffix_);
    constexpr size_t kQuotes = 2;
    out_.reserve(out_.size() + text.size() + pieces.size() * (head.size() + tail.size() + kQuotes));
    for (size_t i = 1; i < pieces.size(); ++i) {
      out_ += head;
      base::append_json_string(out_, pieces[i]);
      out_ += tail;
    }
  }
  void usage(const Json& usage) {
    out_ += prefix_;
    out_ += R"(,"choices":[],"usage":)";
    out_ += usage.dump();
    out_ += "}\n\n";
  }
  std::string finish() {
    out_ += "data: [DONE]\n\n";
    return std::move(out_);
  }

 private:
  const ReplayOptions& options_;
  bool chat_ = true;
  std::string prefix_;
  std::string once_;
  std::string suffix_;
  std::string body_;
  std::string out_;
};

/// Log probabilities token by token when the tokens spell the text, else all with the first piece.
bool write_with_logprobs(ChunkWriter& out, uint64_t index, const std::string& text, const Json& logprobs) {
  const Json* tokens = find(logprobs, "content");
  if (tokens == nullptr || !tokens->is_array() || logprobs.size() > 2) return false;
  std::string spelt;
  for (const Json& token : *tokens) {
    const Json* word = token.is_object() ? find(token, "token") : nullptr;
    if (word == nullptr || !word->is_string()) return false;
    spelt += word->get_ref<const std::string&>();
  }
  const Json* refusal = find(logprobs, "refusal");
  if (spelt != text || tokens->empty() || (refusal != nullptr && !refusal->is_null())) return false;
  const std::string tail = refusal == nullptr ? "]}" : "],\"refusal\":null}";
  for (const Json& token : *tokens)
    out.delta(index, text_member("content", token["token"].get_ref<const std::string&>()),
              "{\"content\":[" + token.dump() + tail);
  return true;
}

void write_text(ChunkWriter& out, uint64_t index, std::string_view name, const std::string& text,
                std::string& logprobs) {
  out.text_deltas(index, name, text, logprobs);
  if (!text.empty() && !logprobs.empty()) logprobs = "null";
}

/// One tool call: everything but the arguments first, as providers do, then the arguments in pieces.
void write_tool_call(ChunkWriter& out, uint64_t index, size_t number, const Json& call) {
  Json head = Json{{"index", number}};
  for (const auto& [name, value] : call.items())
    if (name != "index") head[name] = value;
  std::string arguments;
  if (head.contains("function") && head["function"].is_object() && head["function"].contains("arguments") &&
      head["function"]["arguments"].is_string()) {
    arguments = head["function"]["arguments"].get<std::string>();
    head["function"]["arguments"] = "";
  }
  out.delta(index, "\"tool_calls\":[" + head.dump() + "]");
  for (const std::string_view piece : natural_pieces(arguments))
    out.delta(index, fmt::format(R"("tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}])", number,
                                 base::json_string(piece)));
}

void write_function_call(ChunkWriter& out, uint64_t index, const Json& call) {
  Json head = call;
  std::string arguments;
  if (head.is_object() && head.contains("arguments") && head["arguments"].is_string()) {
    arguments = head["arguments"].get<std::string>();
    head["arguments"] = "";
  }
  out.delta(index, "\"function_call\":" + head.dump());
  for (const std::string_view piece : natural_pieces(arguments))
    out.delta(index, R"("function_call":{"arguments":)" + base::json_string(piece) + "}");
}

/// The first delta: the role and, as providers send them, the empty or null forms of what follows.
std::string opening_delta(const Json& message) {
  const Json* role = find(message, "role");
  std::string delta = "\"role\":" + (role != nullptr ? role->dump() : std::string("\"assistant\""));
  const Json* content = find(message, "content");
  if (content != nullptr)
    delta += content->is_string() ? R"(,"content":"")" : ",\"content\":" + content->dump();
  for (const auto& [name, value] : message.items())
    if (value.is_null() && name != "content" && name != "role")
      delta += "," + base::json_string(name) + ":null";
  return delta;
}

void write_message(ChunkWriter& out, uint64_t index, const Json& message, const Json* logprobs) {
  out.delta(index, opening_delta(message));
  std::string pending = logprobs == nullptr ? std::string() : logprobs->dump();
  // Reasoning comes before what it led to, whatever order the answer lists them in.
  for (const char* name : {"reasoning_content", "reasoning"}) {
    const Json* text = find(message, name);
    std::string none;
    if (text != nullptr && text->is_string()) write_text(out, index, name, text->get<std::string>(), none);
  }
  const Json* content = find(message, "content");
  if (content != nullptr && content->is_string()) {
    const auto& text = content->get_ref<const std::string&>();
    const bool by_token = logprobs != nullptr && logprobs->is_object();
    if (by_token && write_with_logprobs(out, index, text, *logprobs))
      pending = "null";
    else
      write_text(out, index, "content", text, pending);
  }
  for (const auto& [name, value] : message.items()) {
    if (name == "role" || name == "content" || name == "reasoning" || name == "reasoning_content" ||
        value.is_null())
      continue;
    if (name == "tool_calls" && value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) write_tool_call(out, index, i, value[i]);
    } else if (name == "function_call") {
      write_function_call(out, index, value);
    } else if (name == "refusal" && value.is_string()) {
      std::string none;
      write_text(out, index, name, value.get<std::string>(), none);
    } else {
      // Fields we do not know go whole: whether a reader joins or replaces strings, it ends up right.
      out.delta(index, base::json_string(name) + ":" + value.dump());
    }
  }
  if (!pending.empty() && pending != "null") out.delta(index, "", pending);
}

/// The last chunk of a choice, with every field of the choice we do not know.
void write_finish(ChunkWriter& out, uint64_t index, const Json& choice, std::string_view opening) {
  std::string body(opening);
  for (const auto& [name, value] : choice.items())
    if (name != "index" && name != "message" && name != "text" && name != "logprobs")
      body += "," + base::json_string(name) + ":" + value.dump();
  out.choice(index, body);
}

void write_text_choice(ChunkWriter& out, uint64_t index, const Json& choice) {
  const Json* text = find(choice, "text");
  const Json* logprobs = find(choice, "logprobs");
  std::string pending = logprobs == nullptr ? "" : ",\"logprobs\":" + logprobs->dump();
  if (text != nullptr && text->is_string()) {
    for (const std::string_view piece : natural_pieces(text->get_ref<const std::string&>())) {
      out.choice(index, text_member("text", piece) + pending + ",\"finish_reason\":null");
      if (logprobs != nullptr) pending = ",\"logprobs\":null";
    }
  }
  write_finish(out, index, choice, logprobs == nullptr ? R"("text":"")" : R"("text":"","logprobs":null)");
}

bool is_answer(const Json& document) {
  const Json* choices = document.is_object() ? find(document, "choices") : nullptr;
  if (choices == nullptr || !choices->is_array()) return false;
  for (const Json& choice : *choices)
    if (!choice.is_object()) return false;
  return true;
}

}  // namespace

std::vector<std::string_view> natural_pieces(std::string_view text) {
  std::vector<std::string_view> pieces;
  const size_t bytes_min = text.size() / kPiecesMax + 1;
  while (!text.empty()) {
    size_t end = text.find(' ', bytes_min > 1 ? bytes_min - 1 : 1);
    // Texts without blanks (Chinese, long JSON) are cut too, between characters.
    constexpr size_t kWordBytesMax = 48;
    if (end == std::string_view::npos || end > bytes_min + kWordBytesMax) end = bytes_min + kWordBytesMax;
    if (end >= text.size()) end = text.size();
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

Result<std::string> render_sse(Dialect dialect, std::string_view completion, const ReplayOptions& options) {
  const Json document = parse_foreign(completion);
  if (!is_answer(document)) return fail(ErrorCode::kCorrupt, "the stored answer is not one of this dialect");
  ChunkWriter out(dialect, document, options);
  uint64_t position = 0;
  for (const Json& choice : document["choices"]) {
    const Json* number = find(choice, "index");
    const uint64_t index =
        number != nullptr && number->is_number_unsigned() ? number->get<uint64_t>() : position;
    ++position;
    if (dialect == Dialect::kCompletions) {
      write_text_choice(out, index, choice);
      continue;
    }
    const Json* message = find(choice, "message");
    if (message == nullptr || !message->is_object())
      return fail(ErrorCode::kCorrupt, "the stored answer has a choice without a message");
    write_message(out, index, *message, find(choice, "logprobs"));
    write_finish(out, index, choice,
                 choice.contains("logprobs") ? R"("delta":{},"logprobs":null)" : R"("delta":{})");
  }
  const Json* usage = find(document, "usage");
  if (options.include_usage && usage != nullptr) out.usage(*usage);
  return out.finish();
}

Result<std::string> render_sse(const Entry& entry, Dialect dialect, std::string_view model,
                               bool include_usage, int64_t now_s) {
  const ReplayOptions options{include_usage, fresh_id(dialect), now_s};
  if (!entry.completion().empty()) return render_sse(dialect, entry.completion(), options);
  return render_sse(
      dialect,
      completion_of_text(dialect, entry.text(), model, entry.tokens_prompt(), entry.tokens_completion()),
      options);
}

}  // namespace enhanced_gptcache::proxy
