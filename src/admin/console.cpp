#include "admin/console.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "admin/replies.h"
#include "security/permissions.h"

namespace enhanced_gptcache::admin {
namespace {

using http::ExchangePtr;

/// Nothing from elsewhere, nothing inline, no frames around it. Images are the page's own or drawn by it.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Calls `each` with every item of a comma-separated list.
template <typename Each>
void for_each_item(std::string_view list, Each each) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    each(trimmed(list.substr(0, comma)));
    list.remove_prefix(std::min(list.size(), comma + 1));
  }
}

/// ";q=0" in any of its spellings.
bool is_refused(std::string_view parameters) {
  const size_t at = parameters.find("q=");
  if (at == parameters.npos) return false;
  double quality = 1;
  const std::string_view number = trimmed(parameters.substr(at + 2));
  std::from_chars(number.data(), number.data() + number.size(), quality);
  return quality <= 0;
}

/// Whatever representation of the file the caller has: both say the same.
bool has_it(std::string_view if_none_match, std::string_view hash) {
  bool found = false;
  for_each_item(if_none_match, [&](std::string_view tag) {
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*") found = true;
    if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"') return;
    tag = tag.substr(1, tag.size() - 2);
    if (tag.ends_with("-gz")) tag.remove_suffix(3);
    if (tag == hash) found = true;
  });
  return found;
}

const ConsoleFile* find_file(std::string_view name) {
  const auto files = console_files();
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const ConsoleFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

void send_file(const ExchangePtr& exchange, std::string_view name) {
  const ConsoleFile* file = find_file(name);
  if (file == nullptr) return exchange->send(refusal(404, "the console has no such file"));
  const http::Request& request = exchange->request();
  exchange->send(console_response(*file, request.header("accept-encoding"), request.header("if-none-match")));
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  bool named = false;
  bool accepted = false;
  bool any = false;
  for_each_item(accept_encoding, [&](std::string_view item) {
    const size_t semicolon = std::min(item.find(';'), item.size());
    const std::string_view coding = trimmed(item.substr(0, semicolon));
    const bool taken = !is_refused(item.substr(semicolon));
    if (coding == "gzip" || coding == "x-gzip") {
      named = true;
      accepted = taken;
    } else if (coding == "*") {
      any = taken;
    }
  });
  return named ? accepted : any;
}

http::Response console_response(const ConsoleFile& file, std::string_view accept_encoding,
                                std::string_view if_none_match) {
  const bool zipped = accepts_gzip(accept_encoding);
  http::Response response;
  response.headers = {{"Content-Type", std::string(file.type)},
                      {"ETag", '"' + std::string(file.hash) + (zipped ? "-gz\"" : "\"")},
                      {"Cache-Control", "no-cache"},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", kPolicy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"X-Frame-Options", "DENY"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (has_it(if_none_match, file.hash)) {
    response.status = 304;
    return response;
  }
  if (zipped) response.headers.push_back({"Content-Encoding", "gzip"});
  response.shared_body = zipped ? file.gzip : file.plain;
  // Nobody owns what lies in the program itself.
  response.body_owner = std::shared_ptr<const void>(std::shared_ptr<void>(), response.shared_body.data());
  return response;
}

std::string session_json(const security::Identity* identity, bool security_on) {
  using nlohmann::ordered_json;
  ordered_json out = {{"version", EGPTC_VERSION}, {"security", security_on}};
  ordered_json allowed = ordered_json::array();
  for (const security::Permission& row : security::permissions()) {
    const bool is_allowed = row.open || identity == nullptr || security::why_not(row, *identity).empty();
    if (is_allowed) allowed.push_back({{"method", row.method}, {"path", row.path}});
  }
  if (identity != nullptr) {
    out["id"] = identity->id;
    out["role"] = to_string(identity->role);
    out["tenant"] = identity->tenant;
    out["user"] = identity->user;
    out["namespaces"] = identity->namespaces;
  }
  out["allowed"] = std::move(allowed);
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void register_console(http::Server& server, bool security_on) {
  const auto route = [&](const char* path, auto handler) {
    server.route("GET", path, [path, handler](const ExchangePtr& exchange) {
      exchange->notes.route = path;
      handler(exchange);
    });
  };
  route("/console", [](const ExchangePtr& exchange) { send_file(exchange, "index.html"); });
  route("/console/session", [security_on](const ExchangePtr& exchange) {
    const security::Identity* identity = exchange->pass == nullptr ? nullptr : exchange->pass->identity.get();
    exchange->send(reply(200, session_json(identity, security_on)));
  });
  route("/console/*", [](const ExchangePtr& exchange) {
    const std::string_view name = exchange->request().path.substr(std::string_view("/console/").size());
    // The page names its files relative to /console, so that it also works below a proxy's prefix.
    if (name.empty()) {
      http::Response response = reply(308, "", "text/plain");
      response.headers.push_back({"Location", "../console"});
      return exchange->send(std::move(response));
    }
    send_file(exchange, name);
  });
}

}  // namespace enhanced_gptcache::admin
