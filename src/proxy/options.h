#pragma once
// What the proxy can be told. Plain fields with defaults; the app fills them from the settings.

#include <cstdint>
#include <string>
#include <vector>

namespace enhanced_gptcache::proxy {

struct ProxyOptions {
  double temperature_max = 1.0;  ///< hotter requests bypass the cache
  bool honour_cache_control =
      false;                   ///< plain Cache-Control steers the cache (some SDKs send no-cache by habit)
  bool debug_headers = false;  ///< X-Cache-Similarity, X-Cache-Entry, X-Cache-Detail for every caller
  bool learn = true;           ///< store upstream answers
  size_t learn_bytes_max = size_t{1} << 20U;  ///< larger answers are passed on, not stored
  int64_t ttl_s_max = 365LL * 24 * 3600;      ///< longest lifetime a request may ask for
  bool mask_system = false;   ///< partition by the system prompt with dates, times and identifiers masked
  bool user_scoped = false;   ///< partition by user, too
  bool single_flight = true;  ///< identical misses share one upstream call
  bool single_flight_finish = false;    ///< go on to learn after the last caller has left
  int64_t lookup_timeout_ms = 2000;     ///< slower lookups are given up, the request goes upstream
  bool shed_overload = false;           ///< 503 when the embedder has no time; else upstream
  int64_t breaker_open_ms = 10'000;     ///< told to callers as Retry-After
  bool share_provider_account = false;  ///< tenants may use what others keep under our provider key
  bool upstream_is_default = false;     ///< base_url is OpenAI's, where a call without a key cannot work
  bool ask_stream_usage = true;         ///< add stream_options.include_usage to streams whose caller did not
  double shadow_check_share = 0;        ///< of semantic hits, also asked upstream to compare the answers
  size_t shadow_checks_max = 8;         ///< under way at once; more are dropped
  std::string judge_model;              ///< asked when a shadow check cannot tell; empty: nobody
  std::vector<std::string> padded_namespaces;  ///< where hits take the time of misses; "*": everywhere
  size_t embedding_inputs_max = 2048;          ///< texts in one local /v1/embeddings call
  std::string embedding_model =
      "all-MiniLM-L6-v2";  ///< served locally; "sentence-transformers/" before it is allowed
};

}  // namespace enhanced_gptcache::proxy
