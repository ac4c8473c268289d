#pragma once
// One mapping function per component: from the settings table to its options. No component reads
// settings and settings call no component; this is the only place where both are known.

#include <string>
#include <vector>

#include "app/otlp_exporter.h"
#include "config/settings.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/options.h"
#include "http/server.h"
#include "http/upstream.h"
#include "native/native_api.h"
#include "proxy/proxy.h"

namespace enhanced_gptcache::app {

/// How the core budget is split.
struct ThreadBudget {
  size_t cores = 1;
  size_t server_threads = 1;
  size_t embed_threads = 1;
};
/// `cores` as usable_cores() gave it; explicit settings win over the split.
ThreadBudget split_threads(const config::Settings& settings, size_t cores);

Options cache_options(const config::Settings& settings);
/// The mirror on disk of a cache whose folder is `folder`; cache_options() leaves it off, for caches that
/// live in memory.
StorageOptions storage_options(const config::Settings& settings, const std::string& folder);
http::ServerOptions server_options(const config::Settings& settings, const ThreadBudget& budget,
                                   int listener);
http::UpstreamOptions upstream_options(const config::Settings& settings);
native::NativeOptions native_options(const config::Settings& settings);
OtlpOptions otlp_options(const config::Settings& settings);
proxy::ProxyOptions proxy_options(const config::Settings& settings);
/// `model_dir` as find_model() gave it.
EmbedderOptions embedder_options(const config::Settings& settings, const ThreadBudget& budget,
                                 const std::string& model_dir);

/// The first folder with the verifier's artifacts, else the first that was searched, so that errors name it;
/// empty: cache.verifier is off.
std::string verifier_folder(const config::Settings& settings);

/// Of the packed model in the storage folder, for a model whose own folder cannot be written. What can be
/// made from the model again: no backup holds it.
inline constexpr const char* kPackedName = "model.int8.packed";

/// The folders searched for the model, in order (design: embedder.model_dir, then ./models, /app/models,
/// /usr/share).
std::vector<std::string> model_folders(const config::Settings& settings);
/// The first of them that exists; kNotFound lists all and says how to get the model.
Result<std::string> find_model(const config::Settings& settings);

/// Is a semantic hit decided by the verifier? /health and `doctor` look at it only then.
bool wants_verifier(const config::Settings& settings);

/// "127.0.0.0/8", "::1" and "localhost".
bool is_loopback(const std::string& host);

}  // namespace enhanced_gptcache::app
