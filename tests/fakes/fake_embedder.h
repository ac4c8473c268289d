#pragma once
// An embedder without a model: every word has a fixed pseudo-random direction, a text is the sum of
// its words, so that texts that share most words are near and others are nearly orthogonal. Words
// that carry little ("how", "do", "the") count a quarter.

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "enhanced_gptcache/embedder.h"

namespace enhanced_gptcache::fakes {

/// Thread rule: any thread.
class FakeEmbedder final : public Embedder {
 public:
  explicit FakeEmbedder(size_t dimensions = 64, size_t window_tokens = 64, std::string epoch = "fake-1")
      : dimensions_(dimensions), window_tokens_(window_tokens), epoch_(std::move(epoch)) {}
  ~FakeEmbedder() override {
    for (std::thread& thread : threads_) thread.join();
  }

  /// From now on every embedding fails.
  void fail_all(bool is_failing, ErrorCode code = ErrorCode::kUnavailable) {
    failure_ = code;
    is_failing_ = is_failing;
  }
  size_t calls() const { return calls_; }

  size_t dimensions() const override { return dimensions_; }
  size_t window_tokens() const override { return window_tokens_; }
  std::string_view model_epoch() const override { return epoch_; }
  std::string_view kernel_name() const override { return "fake"; }

  /// A word with a 'q' that no 'u' follows is unknown.
  TextStats inspect(std::string_view text) const override {
    TextStats stats;
    for (const std::string& word : words_of(text)) {
      ++stats.tokens;
      const size_t q = word.find('q');
      if (q != std::string::npos && (q + 1 == word.size() || word[q + 1] != 'u')) ++stats.unknown_tokens;
    }
    stats.truncated = stats.tokens + 2 > window_tokens_;
    return stats;
  }

  Result<Embedding> embed(std::string_view text) const override {
    ++calls_;
    if (is_failing_) return fail(failure_, "the fake embedder was told to fail");
    Embedding embedding{std::vector<float>(dimensions_, 0.0F), inspect(text)};
    for (const std::string& word : words_of(text)) add_word(word, embedding.values);
    double squares = 0;
    for (const float value : embedding.values) squares += static_cast<double>(value) * value;
    if (squares <= 0) embedding.values[0] = 1;
    const auto scale = static_cast<float>(squares > 0 ? 1 / std::sqrt(squares) : 1);
    for (float& value : embedding.values) value *= scale;
    return embedding;
  }

  Result<std::vector<Embedding>> embed_batch(std::span<const std::string_view> texts) const override {
    std::vector<Embedding> embeddings;
    for (const std::string_view text : texts) {
      EGPTC_TRY(auto embedding, embed(text));
      embeddings.push_back(std::move(embedding));
    }
    return embeddings;
  }

  /// A thread a call: as asynchronous as it gets.
  void embed_async(std::string text, Callback done) const override {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, text = std::move(text), done = std::move(done)] { done(embed(text)); });
  }

 private:
  static std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) != 0 || byte >= 0x80)
        words.back() += static_cast<char>(std::tolower(byte));
      else if (!words.back().empty())
        words.emplace_back();
    }
    if (words.back().empty()) words.pop_back();
    return words;
  }

  void add_word(const std::string& word, std::vector<float>& values) const {
    static const std::set<std::string> kLight = {"a",   "an",  "the", "do",  "does",  "can", "how",
                                                 "i",   "is",  "of",  "to",  "in",    "my",  "me",
                                                 "you", "for", "on",  "and", "please"};
    const float weight = kLight.contains(word) ? 0.25F : 1.0F;
    uint64_t state = 1469598103934665603ULL;
    for (const char c : word) state = (state ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    for (float& value : values) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      value += weight * (static_cast<float>(state >> 40U) / 8388608.0F - 1.0F);
    }
  }

  const size_t dimensions_;
  const size_t window_tokens_;
  const std::string epoch_;
  std::atomic<bool> is_failing_{false};
  std::atomic<ErrorCode> failure_{ErrorCode::kUnavailable};
  mutable std::atomic<size_t> calls_{0};
  mutable std::mutex mutex_;
  mutable std::vector<std::thread> threads_;  // guarded by mutex_
};

}  // namespace enhanced_gptcache::fakes
