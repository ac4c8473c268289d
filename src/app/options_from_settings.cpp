#include "app/options_from_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "config/url_check.h"

namespace enhanced_gptcache::app {
namespace {

int64_t to_ms(double seconds) { return static_cast<int64_t>(seconds * 1000.0); }

http::UpstreamTarget target(const config::RouteTarget& from, std::string name) {
  return {std::move(name), from.base_url, from.api_key};
}

DecisionPolicy decision_of(const std::string& setting) {
  if (setting == "static") return DecisionPolicy::kStatic;
  return setting == "adaptive" ? DecisionPolicy::kAdaptive : DecisionPolicy::kVerified;
}

PersonalData personal_data_of(std::string_view setting) {
  if (setting == "redact") return PersonalData::kRedact;
  return setting == "skip" ? PersonalData::kSkip : PersonalData::kStore;
}

PrivacyOptions privacy_options(const config::Settings& settings) {
  PrivacyOptions options;
  options.personal_data = personal_data_of(settings.compliance.pii);
  for (const std::string& row : settings.compliance.pii_by_namespace) {
    const size_t equals = row.rfind('=');  // config/cross_checks.cpp has refused what is no policy
    options.by_namespace.emplace_back(row.substr(0, equals),
                                      personal_data_of(std::string_view(row).substr(equals + 1)));
  }
  options.kinds = settings.compliance.pii_kinds;
  return options;
}

/// The folder of the program itself, for trees that are run where they were built and for releases, which
/// carry bin/ and share/ side by side.
std::string program_folder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : program.parent_path().string();
}

/// The first folder that exists.
std::optional<std::string> first_folder(const std::vector<std::string>& folders) {
  std::error_code ignored;
  for (const std::string& folder : folders) {
    if (std::filesystem::is_directory(folder, ignored)) return folder;
  }
  return std::nullopt;
}

}  // namespace

std::string verifier_folder(const config::Settings& settings) {
  if (settings.cache.verifier == "off") return {};
  std::vector<std::string> parents{"./verifier", "/app/verifier", program_folder() + "/../../verifier",
                                   program_folder() + "/../share/enhanced-gptcache/verifier",
                                   "/usr/share/enhanced-gptcache/verifier"};
  if (!settings.cache.verifier_dir.empty()) parents = {settings.cache.verifier_dir};
  for (std::string& parent : parents) parent += "/" + settings.cache.verifier;
  return first_folder(parents).value_or(parents.front());
}

ThreadBudget split_threads(const config::Settings& settings, size_t cores) {
  ThreadBudget budget;
  budget.cores = std::max<size_t>(1, cores);
  const auto chosen = [](int64_t setting, size_t otherwise) {
    return setting > 0 ? static_cast<size_t>(setting) : otherwise;
  };
  // A semantic hit costs far more in the encoder than in the server, so the encoder gets the odd core.
  const size_t server = std::max<size_t>(1, budget.cores / 2);
  budget.server_threads = chosen(settings.server.threads, server);
  budget.embed_threads = chosen(settings.embedder.threads, std::max<size_t>(1, budget.cores - server));
  return budget;
}

Options cache_options(const config::Settings& settings) {
  const auto& cache = settings.cache;
  Options options;
  options.similarity_threshold = cache.similarity_threshold;
  options.bytes_max = static_cast<size_t>(cache.size_mb) << 20U;
  options.entry_bytes_max = static_cast<size_t>(cache.entry_kb_max) << 10U;
  options.tenant_entries_max = static_cast<size_t>(settings.limits.tenant_entries_max);
  options.tenant_bytes_max = static_cast<size_t>(settings.limits.tenant_mb_max) << 20U;
  options.partitions_max = static_cast<size_t>(cache.partitions_max);
  options.graph_from = static_cast<size_t>(cache.graph_from);
  options.decision = decision_of(cache.decision);
  if (const std::string folder = verifier_folder(settings); !folder.empty())
    options.verifier_path = folder + "/decision.json";
  options.mode = cache.mode == "shadow" ? CacheMode::kShadow : CacheMode::kServe;
  options.serve_percent = cache.serve_percent;
  for (const std::string& share : cache.serve_percent_by_namespace) {
    const size_t equals = share.rfind('=');  // config/cross_checks.cpp has refused what is no share
    options.serve_percent_by_namespace.emplace_back(share.substr(0, equals),
                                                    std::strtod(share.c_str() + equals + 1, nullptr));
  }
  options.error_budget = cache.error_budget;
  options.state_folder = settings.storage.path;
  options.ttl_ms = cache.ttl_seconds * 1000;
  options.time_bound_ttl_ms = cache.time_bound_ttl_seconds * 1000;
  options.ttl_jitter = cache.ttl_jitter_percent / 100.0;
  options.unknown_token_share_max = cache.unknown_token_percent_max / 100.0;
  options.share_after = static_cast<size_t>(cache.share_after_principals);
  options.length_ratio_max = cache.length_ratio_max;
  options.candidates = static_cast<size_t>(cache.candidates);
  options.guards_off = cache.guards_off;
  options.privacy = privacy_options(settings);
  options.context = {settings.context.enabled, settings.context.divergence_threshold,
                     static_cast<size_t>(settings.context.window_size)};
  options.pca.enabled = settings.pca.enabled;
  options.pca.target_dimensions = static_cast<size_t>(settings.pca.target_dimensions);
  options.pca.training_samples = static_cast<size_t>(settings.pca.training_samples);
  options.pca.compression_threshold = static_cast<size_t>(settings.pca.compression_threshold);
  options.pca.model_path =
      settings.pca.model_path.empty() ? settings.storage.path + "/pca_model.bin" : settings.pca.model_path;
  options.tau.enabled = settings.federated.enabled;
  options.tau.initial_tau = settings.federated.initial_tau;
  options.tau.learning_rate = settings.federated.learning_rate;
  options.tau.num_users = static_cast<size_t>(settings.federated.num_users);
  options.tau.aggregation_frequency = static_cast<size_t>(settings.federated.aggregation_frequency);
  options.tau.tau_min = cache.similarity_threshold;
  options.tau.target_error_rate = cache.target_error_rate;
  return options;
}

StorageOptions storage_options(const config::Settings& settings, const std::string& folder) {
  StorageOptions options;
  if (settings.storage.enabled) options.path = folder;
  if (settings.storage.sync == "always") options.sync = StorageSync::kAlways;
  if (settings.storage.sync == "os") options.sync = StorageSync::kOs;
  options.sync_interval_ms = settings.storage.sync_interval_ms;
  options.hashes_prompts = settings.storage.prompts == "hash-only";
  options.bytes_max = static_cast<size_t>(settings.storage.size_mb) << 20U;
  return options;
}

http::ServerOptions server_options(const config::Settings& settings, const ThreadBudget& budget,
                                   int listener) {
  const auto& server = settings.server;
  http::ServerOptions options;
  options.host = server.host;
  options.port = static_cast<uint16_t>(server.port);
  options.listener = listener;
  options.threads = budget.server_threads;
  options.connections_max = static_cast<size_t>(server.max_connections);
  options.header_bytes_max = static_cast<size_t>(server.header_kb_max) << 10U;
  options.body_bytes_max = static_cast<size_t>(server.body_mb_max) << 20U;
  options.header_timeout_ms = to_ms(server.header_timeout_seconds);
  options.body_timeout_ms = to_ms(server.body_timeout_seconds);
  options.idle_timeout_ms = to_ms(server.idle_timeout_seconds);
  options.write_timeout_ms = to_ms(server.write_timeout_seconds);
  options.tls = {server.tls_cert_file, server.tls_key_file, server.tls_client_ca_file};
  options.hsts_seconds = server.hsts_seconds;
  return options;
}

http::UpstreamOptions upstream_options(const config::Settings& settings) {
  const auto& upstream = settings.upstream;
  http::UpstreamOptions options;
  options.default_target = {"default", upstream.base_url, upstream.api_key};
  for (const config::Route& route : upstream.routes) {
    http::UpstreamRoute made{route.model, target(route.target, route.model), {}};
    for (size_t i = 0; i < route.fallbacks.size(); ++i) {
      made.fallbacks.push_back(target(route.fallbacks[i], fmt::format("{}#fallback{}", route.model, i + 1)));
    }
    options.routes.push_back(std::move(made));
  }
  options.connect_timeout_ms = to_ms(settings.resources.request_timeout_seconds);
  options.first_byte_timeout_ms = to_ms(upstream.first_byte_timeout_seconds);
  options.idle_timeout_ms = to_ms(upstream.idle_timeout_seconds);
  options.idle_connections_max = static_cast<size_t>(settings.resources.connection_pool_size);
  options.retries_max = static_cast<int>(upstream.retries_max);
  options.breaker_failures = static_cast<size_t>(upstream.breaker_failures);
  options.breaker_open_ms = to_ms(upstream.breaker_open_seconds);
  options.https_proxy = upstream.https_proxy;
  options.no_proxy = fmt::format("{}", fmt::join(upstream.no_proxy, ","));
  options.ca_file = upstream.ca_file;
  return options;
}

native::NativeOptions native_options(const config::Settings& settings) {
  native::NativeOptions options;
  options.request_timeout_ms = to_ms(settings.resources.request_timeout_seconds);
  options.shed_overload = settings.embedder.overload == "shed";
  options.clients_may_store = settings.cache.client_stores == "shared";
  return options;
}

OtlpOptions otlp_options(const config::Settings& settings) {
  const auto& tracing = settings.tracing;
  OtlpOptions options;
  options.endpoint = tracing.endpoint;
  options.authorization = tracing.authorization;
  options.ca_file = settings.upstream.ca_file;
  options.queue_max = static_cast<size_t>(tracing.queue_max);
  options.timeout_ms = static_cast<int64_t>(tracing.timeout_seconds * 1000);
  options.sample_ratio = tracing.sample_ratio;
  options.version = EGPTC_VERSION;
  return options;
}

proxy::ProxyOptions proxy_options(const config::Settings& settings) {
  proxy::ProxyOptions options;
  options.temperature_max = settings.cache.temperature_max;
  options.honour_cache_control = settings.cache.honour_cache_control;
  options.debug_headers = settings.monitoring.debug_mode;
  options.learn = settings.cache.learn;
  options.learn_bytes_max = static_cast<size_t>(settings.cache.entry_kb_max) << 10U;
  options.mask_system = settings.partition.system == "template";
  options.user_scoped = settings.partition.user_scope;
  options.single_flight_finish = settings.cache.single_flight_finish;
  options.shadow_check_share = settings.cache.shadow_check_share;
  options.shadow_checks_max = static_cast<size_t>(settings.cache.shadow_checks_max);
  options.judge_model = settings.cache.judge_model;
  options.padded_namespaces = settings.cache.hit_delay_padding;
  options.shed_overload = settings.embedder.overload == "shed";
  options.breaker_open_ms = to_ms(settings.upstream.breaker_open_seconds);
  options.share_provider_account = settings.upstream.shared_resources == "allow";
  options.upstream_is_default = settings.upstream.base_url == config::Settings{}.upstream.base_url;
  options.embedding_model = settings.context.embedding_model;
  return options;
}

EmbedderOptions embedder_options(const config::Settings& settings, const ThreadBudget& budget,
                                 const std::string& model_dir) {
  EmbedderOptions options;
  options.model_dir = model_dir;
  options.precision = settings.embedder.precision;
  options.kernel = settings.embedder.kernel;
  options.threads = budget.embed_threads;
  options.queue_max = static_cast<size_t>(settings.embedder.queue_max);
  // One file beside the model for all that use it; where a service may not write there, a file of its own.
  if (::access(model_dir.c_str(), W_OK) != 0) options.packed_path = settings.storage.path + "/" + kPackedName;
  if (const std::string folder = verifier_folder(settings); !folder.empty())
    options.pair_encoder_path = folder + "/pair_encoder.safetensors";
  return options;
}

std::vector<std::string> model_folders(const config::Settings& settings) {
  if (!settings.embedder.model_dir.empty()) return {settings.embedder.model_dir};
  const std::string& model = settings.context.embedding_model;
  const std::string name = model.substr(model.rfind('/') + 1);
  return {"./models/" + name, "/app/models/" + name, "/usr/share/enhanced-gptcache/models/" + name};
}

Result<std::string> find_model(const config::Settings& settings) {
  const std::vector<std::string> folders = model_folders(settings);
  if (std::optional<std::string> found = first_folder(folders)) return std::move(*found);
  return fail(
      ErrorCode::kNotFound,
      fmt::format("the embedding model was not found in {}; fetch it with scripts/fetch_model.sh, name a "
                  "folder with embedder.model_dir, or set embedder.enabled to false for the exact layer only",
                  fmt::join(folders, ", ")));
}

bool wants_verifier(const config::Settings& settings) {
  return settings.embedder.enabled && settings.cache.decision == "verified" &&
         settings.cache.verifier != "off";
}

bool is_loopback(const std::string& host) {
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  return config::is_loopback(has_brackets ? host.substr(1, host.size() - 2) : host);
}

}  // namespace enhanced_gptcache::app
