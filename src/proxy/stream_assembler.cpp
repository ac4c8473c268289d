#include "proxy/stream_assembler.h"

#include <algorithm>

namespace enhanced_gptcache::proxy {
namespace {

/// A stream may not make us hold more choices or calls than this, whatever index it names.
constexpr uint64_t kIndexMax = 1024;

/// Fields of which a later value replaces an earlier one; other strings are pieces of one text.
bool is_whole(std::string_view name) {
  return name == "role" || name == "id" || name == "type" || name == "index" || name == "finish_reason" ||
         name == "object" || name == "model" || name == "system_fingerprint" || name == "service_tier";
}

/// The rules of one merge, and whether the pieces fitted together.
struct Merging {
  bool texts_join = false;
  bool clashed = false;  ///< a text met something that is none
};

/// Fields that are text in every dialect, whoever else adds fields of that name.
bool is_text(std::string_view name) {
  return name == "content" || name == "refusal" || name == "reasoning_content" || name == "arguments" ||
         name == "name" || name == "text";
}

void merge(Json& into, const Json& piece, Merging& how);

/// Elements with an `index` are merged into the one of the same index; others are appended.
void merge_array(Json& into, const Json& piece, Merging& how) {
  for (const Json& element : piece) {
    const auto index = element.is_object() ? element.find("index") : element.end();
    if (!element.is_object() || index == element.end() || !index->is_number_unsigned()) {
      into.push_back(element);
      continue;
    }
    Json* same = nullptr;
    for (Json& present : into)
      if (present.is_object() && present.value("index", Json()) == *index) same = &present;
    if (same == nullptr && into.size() < kIndexMax) same = &into.emplace_back(Json::object());
    if (same != nullptr) merge(*same, element, how);
  }
}

void merge_member(Json& into, const std::string& name, const Json& value, Merging& how) {
  if (how.texts_join && is_text(name) && !value.is_string() && !value.is_null()) how.clashed = true;
  const auto found = into.find(name);
  if (found == into.end() || found->is_null()) {
    if (value.is_array()) {
      into[name] = Json::array();
      merge_array(into[name], value, how);
    } else if (value.is_object()) {
      into[name] = Json::object();
      merge(into[name], value, how);
    } else {
      into[name] = value;
    }
    return;
  }
  if (value.is_null()) return;
  const bool joins = how.texts_join && !is_whole(name);
  if (joins && value.is_string() != found->is_string()) how.clashed = true;
  if (joins && value.is_string() && found->is_string()) {
    // OpenAI sends the name of a function once; others repeat all of it in every chunk.
    if (name == "name" && value == *found) return;
    found->get_ref<std::string&>() += value.get_ref<const std::string&>();
  } else if (value.is_object() && found->is_object()) {
    merge(*found, value, how);
  } else if (value.is_array() && found->is_array()) {
    merge_array(*found, value, how);
  } else {
    *found = value;
  }
}

void merge(Json& into, const Json& piece, Merging& how) {
  for (const auto& [name, value] : piece.items()) merge_member(into, name, value, how);
}

/// The index orders pieces in a stream; the non-streamed form has none.
void drop_index(Json& message, const char* list) {
  const auto calls = message.find(list);
  if (calls == message.end() || !calls->is_array()) return;
  for (Json& call : *calls)
    if (call.is_object()) call.erase("index");
}

void finish_message(Json& message) {
  if (!message.contains("role")) message["role"] = "assistant";
  const auto is_set = [&message](const char* name) {
    return message.contains(name) && !message[name].is_null();
  };
  const bool calls = is_set("tool_calls") || is_set("function_call");
  const auto content = message.find("content");
  if (content == message.end())
    message["content"] = nullptr;
  else if (calls && content->is_string() && content->get_ref<const std::string&>().empty())
    *content = nullptr;
  drop_index(message, "tool_calls");
}

}  // namespace

bool is_usage_chunk(std::string_view data) {
  // Cheap on the many chunks that are none: usage is only ever an object in the last one.
  if (data.find("\"usage\"") == std::string_view::npos) return false;
  const Json document = parse_foreign(data);
  if (!document.is_object()) return false;
  const auto usage = document.find("usage");
  const auto choices = document.find("choices");
  return usage != document.end() && usage->is_object() &&
         (choices == document.end() || (choices->is_array() && choices->empty()));
}

void StreamAssembler::add(std::string_view data) {
  if (data.empty() || terminated_) return;
  if (data == "[DONE]") {
    terminated_ = true;
    return;
  }
  const Json chunk = parse_foreign(data);
  if (!chunk.is_object() || (chunk.contains("error") && !chunk["error"].is_null())) {
    broken_ = true;
    return;
  }
  ++chunks_;
  for (const auto& [name, value] : chunk.items()) {
    if (name == "choices" || (value.is_null() && document_.contains(name))) continue;
    if ((name == "id" || name == "created" || name == "model") && document_.contains(name)) continue;
    document_[name] = value;
  }
  const auto choices = chunk.find("choices");
  if (choices == chunk.end() || !choices->is_array()) return;
  for (const Json& choice : *choices) add_choice(choice);
}

Json& StreamAssembler::choice_at(uint64_t index) {
  for (Json& choice : choices_)
    if (choice["index"] == index) return choice;
  choices_.push_back(Json{{"index", index}});
  return choices_.back();
}

void StreamAssembler::add_choice(const Json& piece) {
  if (!piece.is_object()) {
    broken_ = true;
    return;
  }
  const auto index = piece.find("index");
  const uint64_t number = index != piece.end() && index->is_number_unsigned() ? index->get<uint64_t>() : 0;
  if (number >= kIndexMax) {
    broken_ = true;
    return;
  }
  Json& choice = choice_at(number);
  Merging joined{true};
  Merging replaced{false};
  for (const auto& [name, value] : piece.items()) {
    if (name == "index") continue;
    if (name == "delta") {
      if (!choice.contains("message")) choice["message"] = Json::object();
      if (value.is_object()) merge(choice["message"], value, joined);
    } else if (name == "text" && dialect_ == Dialect::kCompletions) {
      merge_member(choice, name, value, joined);
    } else {
      merge_member(choice, name, value, replaced);
    }
  }
  broken_ = broken_ || joined.clashed;
}

Json StreamAssembler::take() {
  std::sort(choices_.begin(), choices_.end(), [](const Json& a, const Json& b) {
    return a["index"].get<uint64_t>() < b["index"].get<uint64_t>();
  });
  if (dialect_ == Dialect::kChat) {
    document_["object"] = "chat.completion";
    for (Json& choice : choices_) {
      if (!choice.contains("message")) choice["message"] = Json::object();
      finish_message(choice["message"]);
    }
  }
  document_["choices"] = std::move(choices_);
  return std::move(document_);
}

}  // namespace enhanced_gptcache::proxy
