// URLs, addresses, keys kept in files, and routes.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/loader.h"
#include "config/small_file.h"
#include "config/test_folder.h"
#include "config/url_check.h"

namespace enhanced_gptcache::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LoadOutcome load_flags(std::vector<std::string> flags, std::map<std::string, std::string> environment = {}) {
  LoadRequest request;
  request.search.clear();
  request.flags = std::move(flags);
  request.environment = std::move(environment);
  return load(request);
}

TEST(UrlCheck, BaseUrls) {
  for (const char* good : {"https://api.openai.com/v1", "http://127.0.0.1:8000", "http://[::1]:9/x",
                           "http://[::1]", "http://a-b_c.d", "https://h/openai/deployments/x%20y"}) {
    EXPECT_EQ(check_base_url(good), "") << good;
  }
  for (const char* bad :
       {"", "api.openai.com", "ftp://h", "https://", "https:///v1", "http://h:0", "http://h:65536",
        "http://h:x", "http://h:", "http://u:p@h", "http://h/?a=b", "http://h/#f", "http://h /x",
        "http://[::1", "http://[zz]", "http://[::1]x", "http://::1", "http://h\r\nX: y", "http://\xc3\xa4"}) {
    EXPECT_NE(check_base_url(bad), "") << bad;
  }
}

TEST(UrlCheck, ProxiesAndAddresses) {
  for (const char* good :
       {"http://p:3128", "http://me:pass@p:3128/", "http://me:p@ss@p:1", "http://[::1]:1"}) {
    EXPECT_EQ(check_proxy_url(good), "") << good;
  }
  for (const char* bad : {"p:3128", "https://p:3128", "http://p", "http://p:3128/x", "http://a b@p:1"}) {
    EXPECT_NE(check_proxy_url(bad), "") << bad;
  }
  EXPECT_EQ(mask_user("http://me:pa@ss@p:1"), "http://********@p:1");
  EXPECT_EQ(mask_user("me:pass@p"), "********@p");
  EXPECT_EQ(mask_user("http://p:1"), "http://p:1");
  for (const char* yes :
       {"127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"})
    EXPECT_TRUE(is_loopback(yes)) << yes;
  for (const char* no : {"0.0.0.0", "::", "10.0.0.1", "localhost.example", "128.0.0.1"}) {
    EXPECT_FALSE(is_loopback(no)) << no;
  }
  EXPECT_FALSE(is_address(""));
  EXPECT_FALSE(is_address("http://x"));
  EXPECT_FALSE(is_address(std::string(300, 'a')));
}

TEST(CrossChecks, CallsInTheClearStayOnThisMachine) {
  for (const char* host : {"127.0.0.1", "127.8.8.8", "[::1]", "[0:0::1]", "[::ffff:127.0.0.1]", "localhost",
                           "Localhost", "0.0.0.0", "[::]"}) {
    for (const char* port : {"", ":4318"}) {
      const LoadOutcome taken =
          load_flags({fmt::format("tracing.endpoint=http://{}{}/v1/traces", host, port)});
      EXPECT_TRUE(taken.loaded) << host << port << ": " << taken.errors.at(0).text();
    }
  }
  for (const char* host : {"[::2]", "[::ffff:10.0.0.1]", "10.0.0.1", "127.0.0.1.example.org",
                           "localhost.example", "127.1.example", "[fe80::1]"}) {
    const LoadOutcome refused = load_flags({fmt::format("tracing.endpoint=http://{}:4318/v1/traces", host)});
    ASSERT_EQ(refused.errors.size(), 1U) << host;
    EXPECT_THAT(refused.errors[0].text(), HasSubstr("must be https outside of this machine")) << host;
  }
}

TEST(CrossChecks, UpstreamIsNotThisServer) {
  const auto errors_of = [](std::string listens_on, const std::string& upstream) {
    return load_flags({"server.port=8080", "security.insecure_listen=true", "server.host=" + listens_on,
                       "upstream.base_url=" + upstream})
        .errors;
  };
  for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"}) {
    const auto errors = errors_of("127.0.0.1", fmt::format("http://{}:8080/v1", host));
    ASSERT_EQ(errors.size(), 1U) << host;
    EXPECT_EQ(errors[0].key, "upstream.base_url");
    EXPECT_THAT(errors[0].message, HasSubstr("this very server"));
  }
  for (const char* host : {"[::1]", "[::]", "[0::1]"}) {
    EXPECT_EQ(errors_of("::1", fmt::format("http://{}:8080", host)).size(), 1U) << host;
    EXPECT_EQ(errors_of("::", fmt::format("http://{}:8080", host)).size(), 1U) << host;
    EXPECT_EQ(errors_of("0.0.0.0", fmt::format("http://{}:8080", host)).size(), 1U) << host;
  }
  EXPECT_EQ(errors_of("10.0.0.7", "http://10.0.0.7:8080/v1").size(), 1U);
  EXPECT_EQ(errors_of("127.0.0.1", "http://127.0.0.1:8081/v1").size(), 0U);
  EXPECT_EQ(errors_of("127.0.0.1", "http://127.0.0.2:8080/v1").size(), 0U)
      << "another server may listen there";
  EXPECT_EQ(errors_of("127.0.0.1", "https://api.example.org:8080/v1").size(), 0U);
  EXPECT_EQ(errors_of("127.0.0.1", "http://127.0.0.1").size(), 0U) << "that is port 80";
}

TEST(CrossChecks, ListeningOutsideNeedsSayingSo) {
  const LoadOutcome refused = load_flags({"server.host=0.0.0.0"});
  ASSERT_EQ(refused.errors.size(), 1U);
  EXPECT_THAT(refused.errors[0].text(), HasSubstr("--server.host: must be a loopback address"));
  EXPECT_TRUE(load_flags({"server.host=0.0.0.0", "security.insecure_listen=true"}).loaded);
  EXPECT_TRUE(load_flags({"server.host=::1"}).loaded);
}

TEST(CrossChecks, CaFile) {
  const TestFolder folder;
  EXPECT_THAT(load_flags({"upstream.ca_file=" + (folder / "absent")}).errors.at(0).text(),
              HasSubstr("upstream.ca_file: cannot read"));
  EXPECT_THAT(load_flags({"upstream.ca_file=" + folder.write("ca", "text")}).errors.at(0).text(),
              HasSubstr("holds no PEM certificate"));
  EXPECT_TRUE(
      load_flags({"upstream.ca_file=" + folder.write("ca", "x\n-----BEGIN CERTIFICATE-----\n")}).loaded);
}

TEST(CrossChecks, Warnings) {
  const LoadOutcome outcome = load_flags({"monitoring.export_metrics=true", "federated.initial_tau=0.5",
                                          "cache.size_mb=1", "cache.entry_kb_max=2048"});
  ASSERT_TRUE(outcome.loaded);
  ASSERT_EQ(outcome.warnings.size(), 3U);
  EXPECT_EQ(outcome.loaded->warnings.size(), 3U);
  EXPECT_THAT(outcome.warnings[1].message, HasSubstr("nothing is exported"));
}

TEST(SecretFiles, AreReadTrimmedAndNeverShown) {
  const TestFolder folder;
  const std::string path = folder.write("key", "  sk-abc\n\n");
  const LoadOutcome outcome = load_flags({"upstream.api_key_file=" + path});
  ASSERT_TRUE(outcome.loaded);
  EXPECT_EQ(outcome.loaded->settings.upstream.api_key, "sk-abc");
  EXPECT_THAT(outcome.loaded->secret_files, ElementsAre(path));
  EXPECT_THAT(effective_json(*outcome.loaded), Not(HasSubstr("sk-abc")));
}

TEST(SecretFiles, StrongerLayerWinsAndEqualOnesClash) {
  const TestFolder folder;
  const std::string path = folder.write("key", "from-file");
  EXPECT_EQ(load_flags({"upstream.api_key_file=" + path}, {{"EGPTC_UPSTREAM__API_KEY", "env"}})
                .loaded->settings.upstream.api_key,
            "from-file");
  EXPECT_EQ(load_flags({"upstream.api_key=flag"}, {{"EGPTC_UPSTREAM__API_KEY_FILE", path}})
                .loaded->settings.upstream.api_key,
            "flag");
  const LoadOutcome both = load_flags({"upstream.api_key=a", "upstream.api_key_file=" + path});
  ASSERT_EQ(both.errors.size(), 1U);
  EXPECT_THAT(both.errors[0].message, HasSubstr("not both"));
}

TEST(SecretFiles, BadFilesAreErrorsThatDoNotQuoteThem) {
  const TestFolder folder;
  const struct {
    std::string path;
    const char* message;
  } cases[] = {
      {folder / "absent", "No such file"},
      {folder.write("empty", " \n"), "is empty"},
      {folder.write("lines", "sk-one\nsk-two"), "visible ASCII"},
      {folder.write("big", std::string(70'000, 'x')), "larger than"},
      {folder / "", "no regular file"},
  };
  for (const auto& item : cases) {
    const LoadOutcome outcome = load_flags({"upstream.api_key_file=" + item.path});
    ASSERT_EQ(outcome.errors.size(), 1U) << item.message;
    EXPECT_THAT(outcome.errors[0].text(), HasSubstr(item.message));
    EXPECT_THAT(outcome.errors[0].text(), Not(HasSubstr("sk-one")));
  }
  const LoadOutcome outcome = load_flags({"upstream.api_key=sk x"});
  EXPECT_THAT(outcome.errors.at(0).text(), HasSubstr("********"));
}

TEST(Routes, AreReadWholeWithTheirKeys) {
  const TestFolder folder;
  const std::string key = folder.write("key", "sk-route");
  const std::string file = folder.write(
      "c.yaml", minimal_file("upstream:\n"
                             "  routes:\n"
                             "    - model: claude-*\n"
                             "      base_url: https://a.example/v1/\n"
                             "      api_key_file: " +
                             key +
                             "\n"
                             "      fallbacks:\n"
                             "        - {base_url: \"http://b:1\", api_key: k2}\n"
                             "    - {model: x, base_url: \"http://c\", fallbacks: , api_key: }\n"));
  LoadRequest request;
  request.path = file;
  const LoadOutcome outcome = load(request);
  ASSERT_TRUE(outcome.loaded) << outcome.errors.at(0).text();
  const Routes& routes = outcome.loaded->settings.upstream.routes;
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].target.base_url, "https://a.example/v1");
  EXPECT_EQ(routes[0].target.api_key, "sk-route");
  EXPECT_EQ(routes[0].fallbacks.at(0).api_key, "k2");
  EXPECT_THAT(routes[1].fallbacks, IsEmpty());
}

TEST(Routes, EveryProblemNamesItsField) {
  const LoadOutcome outcome = load_flags({R"(upstream.routes=[
    {base_url: "http://h"},
    {model: m, base_url: "nowhere", apikey: x},
    {model: m, base_url: "http://h", api_key: "a b"},
    {model: m, base_url: "http://h", api_key: a, api_key_file: b},
    {model: [m], base_url: "http://h", fallbacks: 5},
    {model: m, base_url: "http://h", fallbacks: [7, {api_key: x, model: y}]},
    text])"});
  std::vector<std::string> texts;
  for (const Problem& problem : outcome.errors) texts.push_back(problem.text());
  EXPECT_THAT(texts, ElementsAre(HasSubstr("routes[0].model: is missing"), HasSubstr("routes[1].base_url"),
                                 HasSubstr("routes[1].apikey: unknown key; did you mean api_key?"),
                                 HasSubstr("routes[2].api_key: must be visible ASCII"),
                                 HasSubstr("routes[3].api_key: give api_key or api_key_file"),
                                 HasSubstr("routes[4].model: must be a text"),
                                 HasSubstr("routes[4].fallbacks: must be a list"),
                                 HasSubstr("routes[4].model: is missing"),
                                 HasSubstr("routes[5].fallbacks[0]: must be a map"),
                                 HasSubstr("routes[5].fallbacks[1].model: unknown key"),
                                 HasSubstr("routes[5].fallbacks[1].base_url: is missing"),
                                 HasSubstr("routes[6]: must be a map")));
}

TEST(SmallFile, ReplaceIsWholePrivateAndReported) {
  const TestFolder folder;
  const std::string path = folder / "x";
  ASSERT_TRUE(replace_file(path, "one"));
  ASSERT_TRUE(replace_file(path, "two"));
  EXPECT_EQ(*read_small_file(path, 10), "two");
  EXPECT_EQ(read_small_file(path, 2).error().code, ErrorCode::kInvalidArgument);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_FALSE(replace_file(folder / "absent/x", "one"));
  std::filesystem::create_directory(folder / "folder");
  EXPECT_FALSE(replace_file(folder / "folder", "one"));
  EXPECT_FALSE(std::filesystem::exists(folder / "folder.new"));
}

}  // namespace
}  // namespace enhanced_gptcache::config
