#include "admin/console.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace enhanced_gptcache::admin {
namespace {

const ConsoleFile kFile{"a.js", "text/javascript", "plain bytes", "zipped", "0123"};

std::string header(const http::Response& response, std::string_view name) {
  const std::string* found = http::find_header(response.headers, name);
  return found == nullptr ? "" : *found;
}

TEST(AcceptsGzip, ReadsTheHeaderAsRfc9110Says) {
  for (const char* yes :
       {"gzip", "br, gzip", "gzip;q=0.5", "x-gzip", "*", "br;q=1.0, *;q=0.1", "gzip, *;q=0"})
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  for (const char* no :
       {"", "br", "identity", "gzip;q=0", "gzip; q=0.000", "*;q=0", "*, gzip;q=0", "gzipped"})
    EXPECT_FALSE(accepts_gzip(no)) << no;
}

TEST(ConsoleResponse, ChoosesTheEncodingAndSaysSo) {
  const http::Response plain = console_response(kFile, "", "");
  EXPECT_EQ(plain.status, 200);
  EXPECT_EQ(plain.shared_body, "plain bytes");
  EXPECT_NE(plain.body_owner, nullptr);
  EXPECT_EQ(header(plain, "etag"), "\"0123\"");
  EXPECT_EQ(header(plain, "content-encoding"), "");
  const http::Response zipped = console_response(kFile, "gzip", "");
  EXPECT_EQ(zipped.shared_body, "zipped");
  EXPECT_EQ(header(zipped, "etag"), "\"0123-gz\"");
  EXPECT_EQ(header(zipped, "content-encoding"), "gzip");
  for (const http::Response& response : {plain, zipped}) {
    EXPECT_EQ(header(response, "vary"), "Accept-Encoding");
    EXPECT_EQ(header(response, "cache-control"), "no-cache");
    EXPECT_EQ(header(response, "x-content-type-options"), "nosniff");
    const std::string policy = header(response, "content-security-policy");
    EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(policy.find("http"), std::string::npos) << "nothing from elsewhere";
  }
}

TEST(ConsoleResponse, IsNotSentTwice) {
  for (const char* known : {"\"0123\"", "\"0123-gz\"", "W/\"0123\"", "\"x\", \"0123\"", "*"}) {
    const http::Response response = console_response(kFile, "gzip", known);
    EXPECT_EQ(response.status, 304) << known;
    EXPECT_TRUE(response.shared_body.empty() && response.body.empty());
    EXPECT_EQ(header(response, "etag"), "\"0123-gz\"");
  }
  for (const char* other : {"\"012\"", "0123", "\"\"", "\"", "W/", "\"01230123\""})
    EXPECT_EQ(console_response(kFile, "", other).status, 200) << other;
}

TEST(ConsoleFiles, AreAllThereAndSmall) {
  std::set<std::string_view> names;
  size_t bytes = 0;
  for (const ConsoleFile& file : console_files()) {
    EXPECT_TRUE(names.insert(file.name).second);
    EXPECT_FALSE(file.plain.empty());
    EXPECT_EQ(file.gzip.substr(0, 2), "\x1f\x8b") << file.name;
    EXPECT_EQ(file.hash.size(), 32U);
    bytes += file.gzip.size();
  }
  for (const char* name : {"index.html", "app.js", "style.css", "mark.svg", "licences.txt"})
    EXPECT_EQ(names.count(name), 1U) << name;
  EXPECT_LT(bytes, size_t{300} << 10U);
}

TEST(ConsoleFiles, LoadNothingFromElsewhere) {
  for (const ConsoleFile& file : console_files()) {
    if (file.name != "index.html" && file.name != "style.css") continue;
    EXPECT_EQ(file.plain.find("://"), std::string_view::npos) << file.name;
    EXPECT_EQ(file.plain.find("<style"), std::string_view::npos);
    EXPECT_EQ(file.plain.find("javascript:"), std::string_view::npos);
  }
}

TEST(Session, TellsWhatTheRoleMayCall) {
  const auto allows = [](const nlohmann::json& session, const char* method, const char* path) {
    for (const auto& row : session["allowed"])
      if (row["method"] == method && row["path"] == path) return true;
    return false;
  };
  security::Identity viewer;
  viewer.id = "key:1";
  viewer.tenant = "tenant:a";
  viewer.role = security::Role::kViewer;
  const auto session = nlohmann::json::parse(session_json(&viewer, true));
  EXPECT_EQ(session["role"], "viewer");
  EXPECT_EQ(session["id"], "key:1");
  EXPECT_TRUE(session["security"]);
  EXPECT_TRUE(allows(session, "GET", "/admin/events"));
  EXPECT_FALSE(allows(session, "GET", "/admin/keys"));
  EXPECT_FALSE(allows(session, "POST", "/cache/lookup"));

  const auto open = nlohmann::json::parse(session_json(nullptr, false));
  EXPECT_FALSE(open["security"]);
  EXPECT_FALSE(open.contains("role"));
  EXPECT_TRUE(allows(open, "GET", "/admin/keys"));
}

}  // namespace
}  // namespace enhanced_gptcache::admin
