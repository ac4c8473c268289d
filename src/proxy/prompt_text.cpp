// The second half of request_body.h: messages and prompts to what the semantic layer compares.
#include <fmt/format.h>

#include "base/canonical_json.h"
#include "cache/eligibility.h"
#include "proxy/json_view.h"
#include "proxy/request_body.h"

namespace enhanced_gptcache::proxy {
namespace {

/// One message as the cache sees it.
struct Message {
  std::string role;
  std::string text;
  std::string extra;    ///< members besides role and content, as JSON; empty without
  std::string barrier;  ///< why the semantic layer cannot read it ("image", "audio", ...)
};

std::string barrier_of(std::string_view type) {
  if (type.find("image") != std::string_view::npos) return "image";
  if (type.find("audio") != std::string_view::npos) return "audio";
  if (type.find("file") != std::string_view::npos) return "file";
  return "content_part";
}

ApiResult<void> read_parts(std::string_view parts, const std::string& where, Message& out) {
  ElementCursor elements(parts);
  bool first = true;
  while (elements.next()) {
    const auto type = find_member(elements.value(), "type");
    if (!type || json_kind(*type) != JsonKind::kString)
      return refuse(where,
                    fmt::format("Invalid '{}': every part must be an object with a string 'type'.", where));
    if (*type != "\"text\"") {
      if (out.barrier.empty()) out.barrier = barrier_of(json_text(*type));
      continue;
    }
    const auto text = find_member(elements.value(), "text");
    if (!text || json_kind(*text) != JsonKind::kString)
      return refuse(where, fmt::format("Invalid '{}': a text part needs a string 'text'.", where));
    if (!first) out.text.push_back('\n');
    out.text += json_text(*text);
    first = false;
  }
  return {};
}

ApiResult<Message> read_message(std::string_view json, size_t index) {
  const std::string where = fmt::format("messages[{}]", index);
  if (json_kind(json) != JsonKind::kObject)
    return refuse(where, fmt::format("Invalid type for '{}': expected an object.", where));
  Message out;
  MemberCursor members(json);
  while (members.next()) {
    const std::string_view value = members.value();
    if (members.raw_key() == "role") {
      if (json_kind(value) != JsonKind::kString)
        return refuse(where + ".role", fmt::format("Invalid type for '{}.role': expected a string.", where));
      out.role = json_text(value);
    } else if (members.raw_key() == "content") {
      const JsonKind kind = json_kind(value);
      if (kind == JsonKind::kString) {
        out.text = json_text(value);
      } else if (kind == JsonKind::kArray) {
        if (auto read = read_parts(value, where + ".content", out); !read)
          return tl::unexpected(read.error());
      } else if (kind != JsonKind::kNull) {
        return refuse(
            where + ".content",
            fmt::format("Invalid type for '{}.content': expected a string or an array of parts.", where));
      }
    } else {
      out.extra += out.extra.empty() ? "" : ",";
      out.extra.append(json.substr(members.begin(), members.end() - members.begin()));
    }
  }
  if (out.role.empty())
    return refuse(where + ".role", fmt::format("Missing required parameter: '{}.role'.", where));
  return out;
}

bool is_system(std::string_view role) { return role == "system" || role == "developer"; }

/// A history turn keeps what is not text (tool calls, names) as text behind it, so that two histories
/// which differ there differ for the context filter.
Turn to_turn(Message&& message) {
  Turn turn{std::move(message.role), std::move(message.text)};
  if (!message.extra.empty()) turn.content += (turn.content.empty() ? "{" : "\n{") + message.extra + "}";
  return turn;
}

void set_barrier(Prompt& prompt, std::string_view why) {
  if (prompt.ineligible.empty()) prompt.ineligible = why;
}

ApiResult<void> read_conversation(std::string_view messages, Prompt& prompt) {
  if (json_kind(messages) != JsonKind::kArray)
    return refuse("messages", "Invalid type for 'messages': expected an array of messages.");
  ElementCursor elements(messages);
  std::optional<Message> newest;
  size_t index = 0;
  while (elements.next()) {
    auto message = read_message(elements.value(), index++);
    if (!message) return tl::unexpected(message.error());
    if (!message->barrier.empty()) set_barrier(prompt, message->barrier);
    if (is_system(message->role)) {
      if (!message->extra.empty()) set_barrier(prompt, "message_fields");
      prompt.system += (prompt.system.empty() ? "" : "\n") + message->text;
      continue;
    }
    if (newest) prompt.context.push_back(to_turn(std::move(*newest)));
    newest = std::move(*message);
  }
  if (index == 0)
    return refuse("messages", "Invalid 'messages': empty array. Expected at least one message.");
  if (!newest || newest->role != "user") {
    set_barrier(prompt, newest && (newest->role == "tool" || newest->role == "function") ? "tool_result"
                                                                                         : "last_not_user");
    if (newest) prompt.context.push_back(to_turn(std::move(*newest)));
    return {};
  }
  if (!newest->extra.empty()) set_barrier(prompt, "message_fields");
  prompt.query = std::move(newest->text);
  if (prompt.query.empty()) set_barrier(prompt, "empty");
  return {};
}

ApiResult<void> read_completion_prompt(std::string_view value, Prompt& prompt) {
  if (json_kind(value) == JsonKind::kString) {
    prompt.query = json_text(value);
    if (prompt.query.empty()) set_barrier(prompt, "empty");
    return {};
  }
  if (json_kind(value) != JsonKind::kArray)
    return refuse("prompt",
                  "Invalid type for 'prompt': expected a string, an array of strings or an array of tokens.");
  ElementCursor elements(value);
  if (!elements.next())
    return refuse("prompt", "Invalid 'prompt': empty array. Expected at least one prompt.");
  const std::string_view first = elements.value();
  if (json_kind(first) != JsonKind::kString) {
    set_barrier(prompt, "tokens");
  } else if (elements.next()) {
    set_barrier(prompt, "prompt_array");
  } else {
    prompt.query = json_text(first);
  }
  return {};
}

/// Is this value one that a caller wrote on purpose?
bool is_set(std::string_view value) {
  return value != "null" && value != "false" && value != "[]" && value != "0" && value != "\"\"";
}

void apply_semantic_rule(const FieldRow& row, std::string_view value, Prompt& prompt) {
  const bool bars = row.semantic == SemanticRule::kNeverWhenSet  ? is_set(value)
                    : row.semantic == SemanticRule::kOnlyWhenOne ? is_set(value) && json_number(value) != 1.0
                                                                 : false;
  if (bars) set_barrier(prompt, row.name);
}

/// The members of the body that make the partition, in canonical order.
std::string shape_of(const RequestBody& body, Prompt& prompt) {
  std::string shape = "{";
  const auto add = [&shape](std::string_view member) {
    if (shape.size() > 1) shape.push_back(',');
    shape.append(member);
  };
  MemberCursor members(body.document);
  while (members.next()) {
    const FieldRow* row = find_field(members.raw_key());
    if (row != nullptr) apply_semantic_rule(*row, members.value(), prompt);
    const FieldUse use = use_of(body.dialect, members.raw_key(), row);
    if (use == FieldUse::kSampling && body.temperature && *body.temperature <= 0.0)
      add(R"("sampling":"greedy")");
    if (use != FieldUse::kKeyed) continue;
    add(std::string_view(body.document).substr(members.begin(), members.end() - members.begin()));
  }
  shape.push_back('}');
  return shape + body.surroundings;
}

/// X-Cache-Query: the caller names the question inside a long prompt; the text around it becomes part
/// of the partition, so that only questions over the same documents are compared.
void apply_named_query(std::string_view named, Prompt& prompt) {
  const size_t at = prompt.query.find(named);
  std::string rest = at == std::string::npos
                         ? prompt.query
                         : prompt.query.substr(0, at) + '\x1F' + prompt.query.substr(at + named.size());
  prompt.shape += "?around:" + base::json_string(rest);
  prompt.query = named;
}

}  // namespace

ApiResult<void> complete_prompt(const RequestBody& body, const PromptRules& rules, Prompt& prompt) {
  ApiResult<void> read;
  if (body.dialect == Dialect::kChat) {
    read = read_conversation(*find_member(body.document, "messages"), prompt);
  } else if (body.dialect == Dialect::kCompletions) {
    read = read_completion_prompt(*find_member(body.document, "prompt"), prompt);
  } else {
    set_barrier(prompt, "embeddings");
  }
  if (!read) return read;
  prompt.shape = shape_of(body, prompt);
  if (rules.mask_system) prompt.system = mask_volatile(prompt.system);
  // The words around a named question tell whose it is as well as its own.
  if (!prompt.personal) prompt.personal = cache::is_personal(prompt);
  if (!rules.named_query.empty() && !prompt.query.empty()) apply_named_query(rules.named_query, prompt);
  return {};
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_word(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_'; }

/// A run of hexadecimal groups joined by the punctuation of dates, times and UUIDs.
struct Run {
  size_t length = 0;
  size_t digits = 0;
  size_t joints = 0;
  bool colon = false;
};

Run run_at(std::string_view text) {
  Run run;
  while (run.length < text.size()) {
    const char c = text[run.length];
    const bool inside = run.length > 0 && run.length + 1 < text.size() && is_hex(text[run.length + 1]);
    const bool joint =
        inside && (c == '-' || c == ':' || c == '/' || c == '.' || (c == 'T' && run.joints >= 2));
    if (!is_hex(c) && !joint && !(c == 'Z' && run.colon)) break;
    run.digits += is_digit(c) ? 1 : 0;
    run.joints += joint ? 1 : 0;
    run.colon = run.colon || c == ':';
    ++run.length;
  }
  return run;
}

/// Plain numbers stay: "at most 1000 words" is an instruction. Two joints make a date or a UUID, a
/// colon a time, twelve characters an identifier.
bool is_volatile(const Run& run) {
  return run.digits >= 3 && (run.joints >= 2 || run.colon || run.length >= 12);
}

}  // namespace

std::string mask_volatile(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const bool starts_word = at == 0 || !is_word(text[at - 1]);
    const Run run = starts_word ? run_at(text.substr(at)) : Run{};
    const bool ends_word = at + run.length == text.size() || !is_word(text[at + run.length]);
    if (run.length > 0 && ends_word && is_volatile(run)) {
      out.push_back('#');
      at += run.length;
    } else {
      out.push_back(text[at++]);
    }
  }
  return out;
}

}  // namespace enhanced_gptcache::proxy
