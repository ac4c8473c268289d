#include "proxy/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "base/canonical_json.h"
#include "base/keyed_hash.h"
#include "proxy/json_view.h"

namespace enhanced_gptcache::proxy {
namespace {

tl::unexpected<Error> not_admitted(const char* why) { return fail(ErrorCode::kInvalidArgument, why); }

bool is_set(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && !found->is_null();
}

const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

/// No call has this many; what claims more must not make the counters of tokens wrap around.
constexpr uint64_t kTokensMax = 1'000'000'000'000;

uint64_t count(const Json* usage, const char* name) {
  if (usage == nullptr || !usage->is_object()) return 0;
  const Json* value = member(*usage, name);
  return value != nullptr && value->is_number_unsigned() ? std::min(value->get<uint64_t>(), kTokensMax) : 0;
}

bool may_finish(const Json& choice) {
  const Json* reason = member(choice, "finish_reason");
  if (reason == nullptr || !reason->is_string()) return false;
  const auto& word = reason->get_ref<const std::string&>();
  return word == "stop" || word == "tool_calls" || word == "function_call";
}

bool non_empty_array(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_array() && !value->empty();
}

/// The arguments of a function are JSON in a string; what was cut short is none.
bool has_whole_arguments(const Json& function) {
  const Json* arguments = function.is_object() ? member(function, "arguments") : nullptr;
  return arguments != nullptr && arguments->is_string() &&
         !parse_foreign(arguments->get_ref<const std::string&>()).is_discarded();
}

/// Calls that are not of a function (custom tools) take any text.
bool has_whole_calls(const Json& message) {
  const Json* legacy = member(message, "function_call");
  if (legacy != nullptr && !legacy->is_null() && !has_whole_arguments(*legacy)) return false;
  if (!non_empty_array(message, "tool_calls")) return true;
  const Json& calls = message["tool_calls"];
  return std::all_of(calls.begin(), calls.end(), [](const Json& call) {
    if (!call.is_object()) return false;
    const Json* function = member(call, "function");
    return function == nullptr || has_whole_arguments(*function);
  });
}

/// Empty: this choice may be stored.
const char* check_chat_choice(const Json& choice, bool first, Answer& out) {
  const Json* message = member(choice, "message");
  if (message == nullptr || !message->is_object()) return "malformed";
  if (is_set(*message, "refusal")) return "refusal";
  const bool calls = non_empty_array(*message, "tool_calls") || is_set(*message, "function_call");
  if (calls && !has_whole_calls(*message)) return "malformed";
  const Json* content = member(*message, "content");
  const bool text = content != nullptr && content->is_string();
  out.has_tool_calls = out.has_tool_calls || calls;
  if (!calls && (!text || content->get_ref<const std::string&>().empty()) && !is_set(*message, "audio"))
    return "empty";
  if (text && !calls && is_refusal_text(content->get_ref<const std::string&>())) return "refusal";
  if (first && text) out.text = content->get<std::string>();
  return nullptr;
}

const char* check_text_choice(const Json& choice, bool first, Answer& out) {
  const Json* text = member(choice, "text");
  if (text == nullptr || !text->is_string()) return "malformed";
  if (text->get_ref<const std::string&>().empty()) return "empty";
  if (is_refusal_text(text->get_ref<const std::string&>())) return "refusal";
  if (first) out.text = text->get<std::string>();
  return nullptr;
}

const char* check_choices(Dialect dialect, const Json& document, Answer& out) {
  if (!non_empty_array(document, "choices")) return "no_choices";
  bool first = true;
  for (const Json& choice : document["choices"]) {
    if (!choice.is_object()) return "malformed";
    if (!may_finish(choice)) return "finish_reason";
    const char* why = dialect == Dialect::kChat ? check_chat_choice(choice, first, out)
                                                : check_text_choice(choice, first, out);
    if (why != nullptr) return why;
    first = false;
  }
  return nullptr;
}

/// id and created in front, the rest as it was.
std::string canonical_text(const Json& document) {
  std::string out = R"({"id":"","created":0)";
  for (const auto& [name, value] : document.items()) {
    if (name == "id" || name == "created") continue;
    out.push_back(',');
    base::append_json_string(out, name);
    out.push_back(':');
    out += value.dump();
  }
  out.push_back('}');
  return out;
}

constexpr std::string_view kHead = R"({"id":"","created":0)";

struct RandomState {
  std::mt19937_64 engine;
  RandomState() {
    const base::SecretKey seed = base::random_key();
    std::seed_seq words(seed.begin(), seed.end());
    engine.seed(words);
  }
};
/// Identifiers need to differ, not to be secret; one system call a thread instead of one an answer.
std::mt19937_64& thread_random() {
  thread_local RandomState state;
  return state.engine;
}

}  // namespace

Json parse_foreign(std::string_view text) {
  constexpr size_t kDepthMax = 128;
  if (json_depth(text) > kDepthMax) return Json(Json::value_t::discarded);
  return Json::parse(text, nullptr, false);
}

Result<Answer> admit(Dialect dialect, std::string_view body, TokenCount* tokens) {
  const Json document = parse_foreign(body);
  if (document.is_discarded()) return not_admitted("malformed");
  return admit_document(dialect, document, tokens);
}

Result<Answer> admit_document(Dialect dialect, const Json& document, TokenCount* tokens) {
  if (!document.is_object()) return not_admitted("malformed");
  if (is_set(document, "error")) return not_admitted("error");
  Answer out;
  const Json* usage = member(document, "usage");
  out.tokens_prompt = count(usage, "prompt_tokens");
  out.tokens_completion = count(usage, "completion_tokens");
  if (tokens != nullptr) *tokens = {out.tokens_prompt, out.tokens_completion};
  if (dialect == Dialect::kEmbeddings) {
    if (!non_empty_array(document, "data")) return not_admitted("empty");
    out.completion = document.dump(-1, ' ', false, Json::error_handler_t::replace);
    return out;
  }
  if (const char* why = check_choices(dialect, document, out)) return not_admitted(why);
  out.completion = canonical_text(document);
  return out;
}

bool is_refusal_text(std::string_view text) {
  // Long texts that begin politely still answer; only short ones are nothing but a refusal.
  constexpr size_t kLongest = 300;
  static constexpr std::string_view kOpenings[] = {
      "i'm sorry, but i can't",   "i'm sorry, but i cannot",
      "i'm sorry, i can't",       "i'm sorry, i cannot",
      "i am sorry, but i cannot", "i am sorry, but i can't",
      "sorry, but i can't",       "sorry, but i cannot",
      "sorry, i can't",           "sorry, i cannot",
      "i can't assist with",      "i cannot assist with",
      "i can't help with",        "i cannot help with",
      "i'm unable to assist",     "i am unable to assist",
      "i'm unable to help",       "i am unable to help",
      "i won't be able to help",  "i'm not able to help with",
      "i must decline",           "as an ai language model, i c",
      "i apologize, but i can't", "i apologize, but i cannot",
  };
  if (text.size() > kLongest) return false;
  std::string plain;
  for (size_t at = 0; at < text.size() && plain.size() < 40; ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (text.substr(at, 3) == "\xE2\x80\x99") {  // the typographic apostrophe
      plain.push_back('\'');
      at += 2;
    } else if (!plain.empty() || c > ' ') {
      plain.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    }
  }
  return std::any_of(std::begin(kOpenings), std::end(kOpenings),
                     [&plain](std::string_view opening) { return plain.starts_with(opening); });
}

std::string fresh_id(Dialect dialect) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";
  std::string id = dialect == Dialect::kChat ? "chatcmpl-" : "cmpl-";
  std::mt19937_64& random = thread_random();
  uint64_t bits = 0;
  for (int i = 0; i < 24; ++i) {
    if (i % 10 == 0) bits = random();
    id.push_back(kLetters[bits & 63U]);
    bits >>= 6U;
  }
  return id;
}

std::string fresh_request_id() {
  std::mt19937_64& random = thread_random();
  return fmt::format("req_{:016x}{:08x}", random(), random() >> 32U);
}

std::string completion_of_text(Dialect dialect, std::string_view text, std::string_view model,
                               uint64_t tokens_prompt, uint64_t tokens_completion) {
  const std::string content = base::json_string(text);
  const std::string choice =
      dialect == Dialect::kChat
          ? fmt::format(
                R"({{"index":0,"message":{{"role":"assistant","content":{}}},"finish_reason":"stop"}})",
                content)
          : fmt::format(R"({{"index":0,"text":{},"logprobs":null,"finish_reason":"stop"}})", content);
  const std::string usage = fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})",
                                        tokens_prompt, tokens_completion, tokens_prompt + tokens_completion);
  return fmt::format(R"({},"object":"{}","model":{},"choices":[{}],"usage":{}}})", kHead,
                     dialect == Dialect::kChat ? "chat.completion" : "text_completion",
                     base::json_string(model), choice, usage);
}

bool is_servable(const Entry& entry, Dialect dialect) {
  if (!entry.completion().empty()) return entry.dialect() == to_string(dialect);
  return entry.response_json().empty() && !entry.text().empty() && dialect != Dialect::kEmbeddings;
}

std::string render_json(const Entry& entry, Dialect dialect, std::string_view model, int64_t now_s) {
  std::string built;
  std::string_view completion = entry.completion();
  if (completion.empty()) {
    built =
        completion_of_text(dialect, entry.text(), model, entry.tokens_prompt(), entry.tokens_completion());
    completion = built;
  }
  if (dialect == Dialect::kEmbeddings || !completion.starts_with(kHead)) return std::string(completion);
  std::string out;
  out.reserve(completion.size() + 64);
  out += R"({"id":")";
  out += fresh_id(dialect);
  out += R"(","created":)";
  out += fmt::format_int(now_s).c_str();
  out += completion.substr(kHead.size());
  return out;
}

}  // namespace enhanced_gptcache::proxy
