#include "proxy/field_table.h"

#include <algorithm>

namespace enhanced_gptcache::proxy {
namespace {

using enum FieldUse;
using enum SemanticRule;

constexpr FieldRow kRows[] = {
    {"audio", kKeyed, kNeverWhenSet, "Voice and format of a spoken answer."},
    {"best_of", kKeyed, kOnlyWhenOne, "How many candidates the provider draws from."},
    {"cache", kControl, kNone, "LiteLLM's cache controls; the provider never sees them."},
    {"dimensions", kKeyed, kNone, "Length of embedding vectors."},
    {"echo", kKeyed, kNeverWhenSet, "The answer repeats the prompt, so it belongs to that prompt alone."},
    {"encoding_format", kKeyed, kNone, "Form of embedding vectors."},
    {"frequency_penalty", kKeyed, kNone, "Changes how the answer is sampled."},
    {"function_call", kKeyed, kNone, "Which function must or may be called (legacy)."},
    {"functions", kKeyed, kNone, "Functions the model may call (legacy)."},
    {"input", kContent, kNone, "The texts to embed."},
    {"logit_bias", kKeyed, kNone, "Forbids or favours tokens."},
    {"logprobs", kKeyed, kNeverWhenSet, "Token probabilities belong to one prompt."},
    {"max_completion_tokens", kKeyed, kNone, "Limits the length of the answer."},
    {"max_tokens", kKeyed, kNone, "Limits the length of the answer."},
    {"messages", kContent, kNone, "The conversation."},
    {"metadata", kIgnored, kNone, "Labels for the provider's dashboard."},
    {"modalities", kKeyed, kNone, "Which kinds of output are wanted."},
    {"model", kModel, kNone, "Answers of different models are never mixed."},
    {"n", kKeyed, kOnlyWhenOne, "Several choices are wanted for their differences."},
    {"parallel_tool_calls", kKeyed, kNone, "May several tools be called at once."},
    {"prediction", kKeyed, kNeverWhenSet, "A draft of the answer, which belongs to one prompt."},
    {"presence_penalty", kKeyed, kNone, "Changes how the answer is sampled."},
    {"prompt", kContent, kNone, "The text to complete."},
    {"prompt_cache_key", kIgnored, kNone, "Routing hint for the provider's own prefix cache."},
    {"reasoning_effort", kKeyed, kNone, "Changes depth and length of the answer."},
    {"response_format", kKeyed, kNone, "Form or schema of the answer."},
    {"safety_identifier", kIgnored, kNone, "Names the end user to the provider."},
    {"seed", kKeyed, kNone, "Fixes the sample."},
    {"service_tier", kIgnored, kNone, "Price and queue, not content."},
    {"stop", kKeyed, kNone, "Ends the answer early."},
    {"store", kIgnored, kNone, "Whether the provider keeps the answer."},
    {"stream", kIgnored, kNone, "One entry serves JSON and SSE."},
    {"stream_options", kIgnored, kNone, "Applied when an answer is replayed."},
    {"suffix", kKeyed, kNone, "Text after the completion."},
    {"temperature", kSampling, kNone,
     "Partition: greedy (0) or sampled; above the limit the cache is bypassed."},
    {"tool_choice", kKeyed, kNone, "Which tool must or may be called."},
    {"tools", kKeyed, kNone, "Tools the model may call, with their schemas."},
    {"top_logprobs", kKeyed, kNeverWhenSet, "Token probabilities belong to one prompt."},
    {"top_p", kKeyed, kNone, "Changes how the answer is sampled."},
    {"user", kIgnored, kNone,
     "Names the end user: chooses the tau, and the partition when partition.user_scope is on."},
    {"verbosity", kKeyed, kNone, "Changes the length of the answer."},
    {"web_search_options", kKeyed, kNeverWhenSet, "The answer depends on the moment of the search."},
};

}  // namespace

std::string_view to_string(Dialect dialect) {
  switch (dialect) {
    case Dialect::kChat:
      return "chat";
    case Dialect::kCompletions:
      return "completions";
    case Dialect::kEmbeddings:
      return "embeddings";
  }
  return "chat";
}

std::string_view to_string(FieldUse use) {
  switch (use) {
    case kKeyed:
      return "keyed";
    case kModel:
      return "model";
    case kContent:
      return "content";
    case kSampling:
      return "sampling";
    case kIgnored:
      return "ignored";
    case kControl:
      return "control";
  }
  return "keyed";
}

std::span<const FieldRow> field_table() { return kRows; }

const FieldRow* find_field(std::string_view name) {
  const auto* row = std::lower_bound(std::begin(kRows), std::end(kRows), name,
                                     [](const FieldRow& a, std::string_view b) { return a.name < b; });
  return row != std::end(kRows) && row->name == name ? row : nullptr;
}

std::string_view content_field(Dialect dialect) {
  switch (dialect) {
    case Dialect::kChat:
      return "messages";
    case Dialect::kCompletions:
      return "prompt";
    case Dialect::kEmbeddings:
      return "input";
  }
  return "messages";
}

FieldUse use_of(Dialect dialect, std::string_view name, const FieldRow* row) {
  if (row == nullptr) return kKeyed;
  return row->use == kContent && name != content_field(dialect) ? kKeyed : row->use;
}

}  // namespace enhanced_gptcache::proxy
