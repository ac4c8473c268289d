#pragma once
// `enhanced-gptcache doctor`: what an operator would try by hand when something is wrong, each as
// one check with a verdict and a sentence. The checks are functions, so that each can be made to fail.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/loader.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/options.h"

namespace enhanced_gptcache::app {

struct Finding {
  std::string name;
  bool ok = false;
  std::string detail;  ///< figures when ok, else what is wrong and what to do
};

/// One check: its name and what it does. The text is Finding::detail, an Error is a failed check.
struct Check {
  std::string name;
  std::function<Result<std::string>()> run;
};

/// Runs all, in order, whatever fails.
std::vector<Finding> examine(const std::vector<Check>& checks);

// The checks themselves. Each blocks for less than a few seconds.
Result<std::string> check_storage(const std::string& path);
/// Two ways of asking one thing are nearer than two different things; unit length; how long one takes.
Result<std::string> check_embedder(const Embedder& embedder);
/// Store, exact hit, semantic hit, miss in a cache of its own, with response times.
Result<std::string> check_cache(std::shared_ptr<const Embedder> embedder);
/// The artifact of cache.verifier is there, is what its SHA256SUMS lists and was made for this very model:
/// the judgement of the cache, which /health reports.
Result<std::string> check_verifier(const config::Settings& settings,
                                   std::shared_ptr<const Embedder> embedder);
/// fit_transform of a random matrix: shape, finite values, decreasing variance.
Result<std::string> check_pca(size_t target_dimensions);
/// A false hit raises tau, a confirmed one lowers it, and the limits hold.
Result<std::string> check_tau(const TauOptions& options);

}  // namespace enhanced_gptcache::app
