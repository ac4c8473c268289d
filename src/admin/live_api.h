#pragma once
// What an operator watches: GET /admin/events, a stream of figures as server-sent events (WHATWG HTML,
// section 9.2), and GET /admin/tau, the thresholds that labels have moved.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"

namespace enhanced_gptcache::admin {

/// Whose threshold is asked for besides the list; an empty user: nobody's.
struct TauQuestion {
  size_t limit = 100;
  std::string user;
  std::string tenant;  ///< empty: the caller's own
};

/// Every function may be called on any thread.
struct LiveHooks {
  std::function<std::string()> live_json;  ///< one line
  std::function<std::string(const http::Exchange& caller, const TauQuestion&)> tau_json;
  std::function<bool()> ready;  ///< false: streams end, so that a drain need not wait for them
  std::function<bool(std::function<void()>)> offload;
  /// Whether who opened a stream may still see it: asked before each event. Empty: always.
  std::function<bool(const http::Exchange& caller)> still_admitted;
  int64_t stream_life_ms = 15 * 60 * 1000;  ///< then a stream ends; browsers open another by themselves
};

/// Thread rule: any thread.
class LiveApi {
 public:
  static constexpr size_t kStreamsMax = 32;  ///< 503 above
  /// Of one key or token, so that whoever holds one cannot lock everybody else out; 429 above. While
  /// security is off there is one caller, who has all of them.
  static constexpr size_t kStreamsPerCallerMax = 8;

  explicit LiveApi(LiveHooks hooks);
  void register_routes(http::Server& server);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

struct StreamWish {
  int64_t interval_ms = 2000;
  uint64_t count = 0;  ///< events before it ends; 0: until one side leaves
};
/// ?interval_ms=200..10000&count=0..1000000. kInvalidArgument names parameter, value and range.
Result<StreamWish> read_stream_wish(std::string_view query);
/// ?limit=1..1000&user=&tenant=. kInvalidArgument likewise.
Result<TauQuestion> read_tau_question(std::string_view query);

}  // namespace enhanced_gptcache::admin
