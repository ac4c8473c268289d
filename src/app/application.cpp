#include "app/application.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "admin/admin_api.h"
#include "admin/console.h"
#include "admin/openapi.h"
#include "admin/security_api.h"
#include "app/access_log.h"
#include "app/checkpoints.h"
#include "app/connection_limit.h"
#include "app/health_checks.h"
#include "app/inherited_socket.h"
#include "app/live_stats.h"
#include "app/offload.h"
#include "app/options_from_settings.h"
#include "app/otlp_exporter.h"
#include "app/proxy_metrics.h"
#include "app/security_parts.h"
#include "app/server_metrics.h"
#include "app/start_checks.h"
#include "app/storage_folder.h"
#include "app/storage_metrics.h"
#include "app/vault_parts.h"
#include "base/cpu_budget.h"
#include "base/log.h"
#include "base/log_event.h"
#include "config/settings_source.h"
#include "native/native_api.h"
#include "proxy/proxy.h"
#include "security/credentials.h"

namespace enhanced_gptcache::app {
namespace {

uint64_t memory_limit(const config::Settings& settings) {
  return base::memory_limit_bytes(static_cast<uint64_t>(settings.resources.max_memory_mb) << 20U);
}

/// Who calls the native API by a key or token of ours. A token's subject cannot be talked over.
Result<native::Caller> native_caller(const security::IdentityPtr& identity, std::string_view subject) {
  if (!subject.empty() && !identity->controls.has(security::Control::kSubject))
    return fail(ErrorCode::kUnsupported,
                "this key does not allow the cache control subject (X-Cache-Subject)");
  native::Caller caller;
  caller.tenant = identity->tenant;
  caller.user = !identity->user.empty() ? identity->user
                : subject.empty()       ? identity->id
                                        : std::string(subject);
  caller.principal = identity->id;
  caller.subject = identity->user.empty() ? std::string(subject) : identity->user;
  caller.identity = identity;
  return caller;
}

}  // namespace

/// Members in the order they are made; shut_down() says in which order they stop.
class Application::Impl {
 public:
  Impl(config::LoadRequest request, std::shared_ptr<const config::Loaded> loaded)
      : source(std::move(request), loaded), settings(source.current()) {}
  ~Impl() { shut_down(0); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> open_storage();
  Result<void> open_model();
  Result<void> open_cache();
  using OpenedUpstream = Result<std::shared_ptr<http::UpstreamClient>>;
  Result<void> open_upstream(OpenedUpstream opened);
  Result<void> open_listener();
  void open_routes();
  void watch_settings();
  void shut_down(int64_t drain_ms);
  void apply(const config::Change& change);
  Options stored_cache_options(const config::Settings& from) const;
  void configure_monitoring(const config::Settings& now) {
    metrics.set_detailed_logging(now.monitoring.detailed_logging);
    proxy_metrics.configure(now.monitoring.detailed_logging, now.monitoring.performance_tracking);
    proxy_metrics.set_prices(now.monitoring.prices, now.monitoring.currency);
    if (tracing) tracing->set_sample_ratio(now.tracing.sample_ratio);
  }
  native::NativeOptions native_options_of(const config::Settings& from) const {
    native::NativeOptions options = native_options(from);
    options.receipt_key = instance_key;
    return options;
  }
  static void commit_all(EnhancedCache& of);
  /// Reads the master keys again and seals everything by the new first one, in the background.
  Result<void> rotate_keys();
  HealthInputsSource health_source();
  Result<native::Caller> caller_of(const http::Exchange& exchange) const;

  config::SettingsSource source;
  std::shared_ptr<const config::Settings> settings;  ///< as they were at start
  ServerMetrics metrics;
  ProxyMetrics proxy_metrics{metrics};
  ThreadBudget budget;
  std::unique_ptr<StorageFolder> storage;
  VaultParts vault_parts;
  base::SecretKey instance_key{};
  std::unique_ptr<SecurityParts> security;
  std::shared_ptr<const Embedder> embedder;
  std::unique_ptr<EnhancedCache> cache;
  std::unique_ptr<Checkpoints> checkpoints;
  std::shared_ptr<http::UpstreamClient> upstream;
  std::unique_ptr<OffloadPool> admin_pool, long_pool, security_pool, health_pool;
  std::shared_ptr<OtlpExporter> tracing;  ///< null: tracing.endpoint is empty
  std::unique_ptr<proxy::Proxy> proxy;
  std::unique_ptr<native::NativeApi> native;
  std::unique_ptr<admin::AdminApi> admin;
  std::unique_ptr<admin::SecurityApi> security_api;
  std::unique_ptr<http::Server> server;
  std::atomic<bool> ready{false};
  std::atomic<bool> admits{false};  ///< `security` is there
  bool stopped = false;
};

/// What a start is refused for comes before the first file; only the folder is made, for the packed model.
Result<void> Application::Impl::open_storage() {
  EGPTC_TRY(auto vault, open_vault(*settings));
  EGPTC_TRY_VOID(check_before_start(*settings, vault.get()));
  EGPTC_TRY(storage, StorageFolder::open(settings->storage.path));
  // Reading the certificate authorities takes 40 ms, beside which the model opens.
  auto opened = std::async(std::launch::async, [options = upstream_options(*settings)] {
    return http::UpstreamClient::create(options);
  });
  EGPTC_TRY_VOID(open_model());
  EGPTC_TRY_VOID(open_upstream(opened.get()));
  EGPTC_TRY(vault_parts, open_vault_parts(*settings, storage->path(), std::move(vault)));
  instance_key = vault_parts.instance_key;
  EGPTC_TRY(security, SecurityParts::open(*settings, storage->path(), instance_key));
  admits.store(true, std::memory_order_release);
  return {};
}

Result<void> Application::Impl::open_model() {
  if (!settings->embedder.enabled) {
    base::log_warning("embedder.enabled is false: only identical requests are answered from the cache");
    return {};
  }
  EGPTC_TRY(const std::string folder, find_model(*settings));
  EGPTC_TRY(embedder, Embedder::open(embedder_options(*settings, budget, folder)));
  base::log_info("model {}: {} dimensions, kernel {}", folder, embedder->dimensions(),
                 embedder->kernel_name());
  return {};
}

Result<void> Application::Impl::open_cache() {
  auto opened = EnhancedCache::open(stored_cache_options(*settings), embedder);
  if (!opened) {
    discard_new_keystore(vault_parts);
    return fail(std::move(opened).error());
  }
  cache = *std::move(opened);
  metrics.watch_cache(*cache);
  checkpoints = std::make_unique<Checkpoints>(*cache, storage->path());
  if (settings->storage.enabled) watch_storage(metrics.registry(), *cache);
  return {};
}

Options Application::Impl::stored_cache_options(const config::Settings& from) const {
  Options options = cache_options(from);
  options.key_bytes.assign(instance_key.begin(), instance_key.end());
  options.storage = storage_options(from, storage->path());
  options.storage.vault = vault_parts.vault;
  options.storage.erasures = vault_parts.erasures;
  return options;
}

Result<void> Application::Impl::open_upstream(OpenedUpstream opened) {
  EGPTC_TRY(upstream, std::move(opened));
  metrics.watch_upstream(*upstream);
  return {};
}

Result<native::Caller> Application::Impl::caller_of(const http::Exchange& exchange) const {
  const http::Request& request = exchange.request();
  if (exchange.pass != nullptr && exchange.pass->identity != nullptr)
    return native_caller(exchange.pass->identity, request.header("x-cache-subject"));
  const security::Carriers carriers = security::carriers_of(request);
  if (carriers.has_own_key()) {
    return fail(ErrorCode::kInvalidArgument,
                "an egptc_ key was sent, but this server runs with security off and knows no such keys");
  }
  native::Caller caller;
  caller.tenant = carriers.tenant(instance_key);
  caller.user = request.header("x-cache-subject");
  caller.principal = caller.user.empty() ? caller.tenant : caller.user;
  caller.subject = caller.user;
  return caller;
}

void Application::Impl::commit_all(EnhancedCache& of) {
  if (auto done = of.commit(); !done)
    base::log_error("storage: what was stored last may be lost: {}", done.error().message);
}

/// The port opens first: until the routes do, /live says that the process lives, /ready that it is not ready.
Result<void> Application::Impl::open_listener() {
  EGPTC_TRY(const int listener, take_inherited_socket());
  server = std::make_unique<http::Server>(fit_connections(server_options(*settings, budget, listener)));
  server->on_request([this](const http::ExchangePtr& exchange) { return security->admit(exchange); });
  server->on_error([](int status, const std::string& message, std::string_view) {
    return proxy::openai_error(status, message);
  });
  server->on_access(
      [this](const http::Exchange& exchange, int status, size_t bytes_out, int64_t duration_us) {
        metrics.on_access(exchange, status);
        if (admits.load(std::memory_order_acquire)) security->audit(exchange, status);
        if (source.current()->monitoring.access_log) log_access(exchange, status, bytes_out, duration_us);
      });
  return server->start_closed();
}

void Application::Impl::open_routes() {
  admin_pool = std::make_unique<OffloadPool>(1, 64);
  // Health has a pool of its own: a long flush must not make the node look dead.
  health_pool = std::make_unique<OffloadPool>(1, 32);
  // Nor may what waits for the whole disk hold up listings and batches; and a stolen key is revoked at once.
  long_pool = std::make_unique<OffloadPool>(1, 32);
  security_pool = std::make_unique<OffloadPool>(1, 32);
  metrics.watch_process([this] { return memory_limit(*source.current()); });
  if (!settings->tracing.endpoint.empty())
    tracing = std::make_shared<OtlpExporter>(otlp_options(*settings), metrics.registry());
  configure_monitoring(*settings);
  proxy::ProxyParts parts{.cache = cache.get(), .upstream = upstream, .embedder = embedder};
  parts.instance_key = instance_key;
  parts.observer = &proxy_metrics;
  parts.watch = &security->limiter();
  parts.trace_sink = tracing;
  parts.is_only_tenant = [this](const security::Identity& who) {
    return security->is_only_tenant(who.tenant, *source.current());
  };
  proxy = std::make_unique<proxy::Proxy>(proxy_options(*settings), std::move(parts));
  native = std::make_unique<native::NativeApi>(
      native_options_of(*settings), *cache,
      [this](const http::Exchange& exchange) { return caller_of(exchange); }, on(*admin_pool), &metrics,
      &security->limiter(), on(*long_pool));
  admin::AdminHooks hooks;
  hooks.health = health_inputs(health_source());
  watch_health(metrics.registry(), hooks.health);
  hooks.ready = [this] { return ready.load(); };
  hooks.on_health = [this](admin::HealthStatus status) { metrics.on_health(admin::to_string(status)); };
  hooks.summary_json = [this] { return summary_json(metrics, cache->stats()); };
  hooks.stats_json = [this] {
    return stats_json(cache->stats(), server->stats(), decisions_report(metrics.decisions(), *cache));
  };
  hooks.why_locked_out = [this](const http::Exchange& caller, const config::Settings& wanted) {
    return security->why_locked_out(caller.request(), wanted);
  };
  hooks.make_checkpoint = [this] { return checkpoints->make(); };
  hooks.list_checkpoints = [this] { return checkpoints->list(); };
  hooks.drop_checkpoint = [this](const std::string& name) { return checkpoints->drop(name); };
  hooks.encryption_json = [this] { return encryption_json(cache->encryption_stats()); };
  hooks.rotate_keys = [this] { return rotate_keys(); };
  hooks.offload = on(*health_pool);
  hooks.offload_long = on(*long_pool);
  admin = std::make_unique<admin::AdminApi>(std::move(hooks), metrics.registry(), source);
  admin->register_routes(*server);
  security_api = std::make_unique<admin::SecurityApi>(
      admin::SecurityHooks{&security->keys(), security->audit_log(), on(*security_pool)});
  security_api->register_routes(*server);
  admin::LiveHooks live =
      live_hooks({metrics, proxy_metrics, *cache, *server,
                  [this](const http::Exchange& exchange) { return caller_of(exchange); }});
  live.ready = [this] { return ready.load(); };
  live.offload = on(*health_pool);
  live.still_admitted = [this](const http::Exchange& caller) {
    return security->still_admits(caller.request());
  };
  admin::LiveApi(std::move(live)).register_routes(*server);
  if (settings->server.console) admin::register_console(*server, settings->security.enabled);
  native->register_routes(*server);
  proxy->register_routes(*server);
  admin::register_openapi(*server);
  metrics.watch_server(*server);
  metrics.watch_limits(security->limiter());
  server->open_routes();
}

Result<void> Application::Impl::rotate_keys() {
  if (vault_parts.vault == nullptr)
    return fail(ErrorCode::kUnsupported, "nothing is encrypted here: storage.encryption is off");
  std::vector<vault::KeyId> in_use;
  for (const std::string& id : cache->encryption_stats().keys_in_use) in_use.push_back(parse_key_id(id));
  EGPTC_TRY_VOID(vault_parts.vault->reload(in_use));
  // The file is sealed anew; the key in it is the same.
  EGPTC_TRY_VOID(open_instance_key(*settings, storage->path(), vault_parts.vault.get()));
  return cache->reseal();
}

HealthInputsSource Application::Impl::health_source() {
  HealthInputsSource from;
  from.cache = cache.get();
  from.embedder = embedder.get();
  from.source = &source;
  from.metrics = &metrics;
  from.storage_path = storage->path();
  from.budget = budget;
  return from;
}

void Application::Impl::apply(const config::Change& change) {
  const config::Settings& now = *change.after;
  apply_log_settings(now);
  security->configure(change);
  if (auto done = cache->set_options(stored_cache_options(now)); !done)
    base::log_error("settings: cache: {}", done.error().message);
  if (auto done = upstream->set_options(upstream_options(now)); !done) {
    base::log_error("settings: upstream: {}", done.error().message);
  }
  proxy->set_options(proxy_options(now));
  configure_monitoring(now);
  native->set_options(native_options_of(now));
}

void Application::Impl::watch_settings() {
  source.subscribe([this](const config::Change& change) { apply(change); });
  metrics.watch_reloads(source);
  if (auto watching = source.watch(); !watching) {
    base::log_warning("settings files are not watched ({}); SIGHUP and /admin/reload still work",
                      watching.error().message);
  }
}

/// The one order in which things stop. Threads that call back (pools, embedder's workers) post to the loops
/// and use the cache: they end first; the loops end before the threads that they hand work to; suspended
/// coroutines hold services: they are destroyed while everything they refer to is alive.
void Application::Impl::shut_down(int64_t drain_ms) {
  if (stopped) return;
  stopped = true;
  ready = false;
  source.stop_watching();               // nobody applies settings any more
  if (server) server->drain(drain_ms);  // no new requests; running ones end or are cut
  if (server) server->stop();           // event loops have ended but can still be posted to
  for (auto* pool : {&admin_pool, &long_pool, &security_pool})
    if (*pool) (*pool)->stop();          // flushes and listings that were accepted are done
  if (health_pool) health_pool->stop();  // probes are done
  if (embedder) embedder->stop();        // waiting texts get kUnavailable: cache calls end with that
  if (cache) commit_all(*cache);         // who waits for the disk has been answered
  server.reset();                        // what was posted, and suspended coroutines
  if (tracing) tracing->stop();          // the last traces are in
  cache.reset();                         // waits for its asynchronous calls; none is left
}

Application::Application(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Application::~Application() { stop(); }

Result<std::unique_ptr<Application>> Application::start(config::LoadRequest request,
                                                        std::shared_ptr<const config::Loaded> loaded) {
  auto impl = std::make_unique<Impl>(std::move(request), std::move(loaded));
  const config::Settings& settings = *impl->settings;
  apply_log_settings(settings);
  if (!settings.monitoring.log_file.empty()) base::add_log_file(settings.monitoring.log_file);
  EGPTC_TRY_VOID(check_listening(settings));
  if (!is_loopback(settings.server.host) && !settings.security.enabled) {
    base::log_warning(
        "security.insecure_listen: every host that reaches {}:{} may use this cache and its upstream key",
        settings.server.host, settings.server.port);
  }
  impl->budget =
      split_threads(settings, base::usable_cores(static_cast<size_t>(settings.resources.max_cpu_cores)));
  EGPTC_TRY_VOID(impl->open_listener());
  EGPTC_TRY_VOID(impl->open_storage());
  EGPTC_TRY_VOID(impl->open_cache());
  impl->ready = true;
  impl->open_routes();
  impl->watch_settings();
  base::log_info("enhanced-gptcache {} listens on {}:{} ({} server, {} embedding threads)", EGPTC_VERSION,
                 settings.server.host, impl->server->port(), impl->budget.server_threads,
                 impl->budget.embed_threads);
  return std::unique_ptr<Application>(new Application(std::move(impl)));
}

uint16_t Application::port() const { return impl_->server ? impl_->server->port() : 0; }

void Application::reload() {
  if (const auto change = impl_->source.reload(); !change)
    base::log_error("settings: the new ones are refused, the old ones stay: {}", change.error().message);
}

void Application::stop() {
  if (impl_->stopped) return;
  impl_->ready = false;
  const auto server = impl_->source.current()->server;
  std::this_thread::sleep_for(std::chrono::duration<double>(server.drain_delay_seconds));
  impl_->shut_down(static_cast<int64_t>(server.drain_timeout_seconds * 1000));
  base::log_info("stopped");
}

}  // namespace enhanced_gptcache::app
