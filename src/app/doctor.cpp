#include "app/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "app/options_from_settings.h"
#include "base/clock.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "enhanced_gptcache/pca_wrapper.h"
#include "enhanced_gptcache/tau_manager.h"

namespace enhanced_gptcache::app {
namespace {

double ms_since(int64_t started_us) {
  return static_cast<double>(base::system_clock().mono_us() - started_us) / 1000.0;
}

double cosine(const Embedding& a, const Embedding& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values.size(); ++i) sum += static_cast<double>(a.values[i]) * b.values[i];
  return sum;
}

Error broken(std::string message) { return {ErrorCode::kInternal, std::move(message)}; }

}  // namespace

std::vector<Finding> examine(const std::vector<Check>& checks) {
  std::vector<Finding> findings;
  for (const Check& check : checks) {
    const Result<std::string> outcome = check.run();
    findings.push_back({check.name, outcome.has_value(), outcome ? *outcome : outcome.error().message});
  }
  return findings;
}

Result<std::string> check_storage(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return fail(ErrorCode::kIo, fmt::format("storage.path {} cannot be made: {}", path, error.message()));
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("storage.path {} is not writable: {}", path, std::strerror(errno)));
  }
  const auto space = std::filesystem::space(path, error);
  if (!error && space.available < (uint64_t{64} << 20U)) {
    return fail(ErrorCode::kIo,
                fmt::format("storage.path {} has only {} MB free", path, space.available >> 20U));
  }
  return fmt::format("{} writable, {} GB free", path, space.available >> 30U);
}

Result<std::string> check_embedder(const Embedder& embedder) {
  EGPTC_TRY(const Embedding reset, embedder.embed("How do I reset my password?"));
  const int64_t started_us = base::system_clock().mono_us();
  EGPTC_TRY(const Embedding again, embedder.embed("How can I reset my password?"));
  const double took_ms = ms_since(started_us);
  EGPTC_TRY(const Embedding other, embedder.embed("Which river flows through Vienna?"));
  const double length = cosine(reset, reset);
  if (std::abs(length - 1.0) > 1e-3)
    return fail(broken(fmt::format("vectors have length {:.4f}, not 1", length)));
  const double near = cosine(reset, again);
  const double far = cosine(reset, other);
  if (!(near > 0.85 && far < 0.5)) {
    return fail(broken(
        fmt::format("a paraphrase has similarity {:.3f} (above 0.85 expected), another question {:.3f} "
                    "(below 0.5 expected): the model file is not what it should be",
                    near, far)));
  }
  return fmt::format(
      "kernel {}, {} dimensions, {:.2f} ms for 7 words; paraphrase {:.3f}, other question {:.3f}",
      embedder.kernel_name(), embedder.dimensions(), took_ms, near, far);
}

Result<std::string> check_cache(std::shared_ptr<const Embedder> embedder) {
  const bool semantic = embedder != nullptr;
  EGPTC_TRY(auto cache, EnhancedCache::open(Options{}, std::move(embedder)));
  StoreRequest request;
  request.prompt = make_prompt("How do I open the store room?");
  request.text = "With the blue key.";
  EGPTC_TRY(const Stored stored, cache->store(request));
  int64_t started_us = base::system_clock().mono_us();
  EGPTC_TRY(const Lookup exact, cache->lookup(request.prompt));
  const double exact_ms = ms_since(started_us);
  if (exact.entry == nullptr || exact.entry->text() != request.text)
    return fail(broken("a stored entry was not found"));
  started_us = base::system_clock().mono_us();
  EGPTC_TRY(const Lookup miss, cache->lookup(make_prompt("diagnostic test query")));
  const double miss_ms = ms_since(started_us);
  if (miss.entry != nullptr) return fail(broken("an unrelated question was answered from the cache"));
  if (!semantic)
    return fmt::format("exact hit {:.3f} ms, miss {:.2f} ms, semantic layer off", exact_ms, miss_ms);
  if (!stored.semantic)
    return fail(broken("a plain question was not taken by the semantic layer: " + stored.ineligible));
  started_us = base::system_clock().mono_us();
  EGPTC_TRY(const Lookup meaning, cache->lookup(make_prompt("How can I open the store room?")));
  const double semantic_ms = ms_since(started_us);
  if (meaning.entry == nullptr) return fail(broken("a paraphrase of a stored question was not found"));
  return fmt::format("exact hit {:.3f} ms, semantic hit {:.2f} ms, miss {:.2f} ms", exact_ms, semantic_ms,
                     miss_ms);
}

Result<std::string> check_verifier(const config::Settings& settings,
                                   std::shared_ptr<const Embedder> embedder) {
  if (!wants_verifier(settings))
    return std::string("not in use (cache.decision, cache.verifier and embedder.enabled decide)");
  const std::string pairs(embedder == nullptr ? std::string_view() : embedder->pair_encoder_status());
  Options options;
  options.decision = DecisionPolicy::kVerified;
  options.verifier_path = cache_options(settings).verifier_path;
  EGPTC_TRY(const auto cache, EnhancedCache::open(options, std::move(embedder)));
  const std::string problem = cache->stats().verifier_problem;
  if (!problem.empty())
    return fail(broken(fmt::format("only exact hits are served: {} (cache.verifier is {}, looked for as {})",
                                   problem, settings.cache.verifier, options.verifier_path)));
  return fmt::format("{}, made for this model; {}", settings.cache.verifier, pairs);
}

Result<std::string> check_pca(size_t target_dimensions) {
  PcaOptions options;
  options.target_dimensions = target_dimensions;
  PCAWrapper pca(options);
  Matrix samples{40, 64, std::vector<float>(size_t{40} * 64)};
  std::mt19937 random(7);
  std::uniform_real_distribution<float> values(0, 1);
  for (float& value : samples.values) value = values(random);
  EGPTC_TRY(const Matrix compressed, pca.fit_transform(samples));
  for (const float value : compressed.values) {
    if (!std::isfinite(value)) return fail(broken("the components are not finite"));
  }
  if (compressed.rows != samples.rows ||
      compressed.columns != std::min<size_t>(target_dimensions, samples.columns)) {
    return fail(broken(fmt::format("the result has the shape {} x {}", compressed.rows, compressed.columns)));
  }
  return fmt::format("{} x {} to {} x {}, {:.0f} % of the variance", samples.rows, samples.columns,
                     compressed.rows, compressed.columns, 100.0 * pca.explained_variance());
}

Result<std::string> check_tau(const TauOptions& options) {
  if (!options.enabled) return std::string("off (federated.enabled is false)");
  TauManager tau(options);
  const double start = tau.current_threshold();
  const double raised = tau.update("doctor", TauOutcome::kFalseHit);
  const double lowered = tau.update("doctor", TauOutcome::kConfirmedHit);
  const bool moves =
      options.learning_rate == 0 || (raised > start || start >= options.tau_max) || raised == options.tau_max;
  if (!moves || lowered > raised) {
    return fail(
        broken(fmt::format("feedback moved tau from {:.4f} to {:.4f} to {:.4f}", start, raised, lowered)));
  }
  if (raised > options.tau_max || lowered < options.tau_min) return fail(broken("tau left its limits"));
  return fmt::format("starts at {:.3f}, {:.4f} after a false hit, {:.4f} after a confirmed one", start,
                     raised, lowered);
}

}  // namespace enhanced_gptcache::app
