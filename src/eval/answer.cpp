#include "eval/answer.h"

#include <fmt/format.h>

#include <charconv>

#include "base/clock.h"

namespace enhanced_gptcache::eval {
namespace {

double as_stated(double value) {
  const std::string text = fmt::format("{:.6g}", value);
  double stated = 0;
  std::from_chars(text.data(), text.data() + text.size(), stated);
  return stated;
}

}  // namespace

Prompt prompt_of(const Question& question, std::string_view name_space) {
  return make_prompt(question.text, question.history, name_space);
}

std::string reason_of(const Lookup& lookup) {
  std::string reason(to_string(lookup.reason));
  const bool has_name = lookup.reason == MissReason::kGuard || lookup.reason == MissReason::kIneligible;
  if (has_name && !lookup.detail.empty()) reason += ":" + lookup.detail;
  return reason;
}

Result<Answer> ask(EnhancedCache& cache, const Prompt& prompt, Lookup* looked_up) {
  const int64_t start_us = base::system_clock().mono_us();
  EGPTC_TRY(Lookup lookup, cache.lookup(prompt));
  Answer answer;
  answer.latency_ms = static_cast<double>(base::system_clock().mono_us() - start_us) / 1000.0;
  answer.is_semantic = lookup.embedding != nullptr;
  if (lookup.entry != nullptr) {
    answer.is_hit = answer.has_candidate = true;
    answer.is_exact = lookup.layer == Layer::kExact;
    answer.similarity = lookup.similarity;
    answer.probability = as_stated(lookup.probability);
    answer.candidate = lookup.entry->text();
  } else {
    answer.reason = reason_of(lookup);
    if (lookup.nearest) {
      answer.has_candidate = true;
      answer.similarity = lookup.nearest->similarity;
      answer.probability = as_stated(lookup.nearest->probability);
      const EntryPtr entry = cache.get(prompt.tenant, lookup.nearest->entry_id);
      if (entry != nullptr) answer.candidate = entry->text();
    }
  }
  if (looked_up != nullptr) *looked_up = std::move(lookup);
  return answer;
}

Result<void> teach(EnhancedCache& cache, const Prompt& prompt, std::string text,
                   std::shared_ptr<const Embedding> embedding) {
  StoreRequest request;
  request.prompt = prompt;
  request.text = std::move(text);
  request.embedding = std::move(embedding);
  auto stored = cache.store(request);
  if (!stored) return fail(std::move(stored).error());
  return {};
}

}  // namespace enhanced_gptcache::eval
