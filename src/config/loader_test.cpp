#include "config/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "config/test_folder.h"

namespace enhanced_gptcache::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LoaderTest : public ::testing::Test {
 protected:
  LoadOutcome load_text(const std::string& text) {
    request_.path = folder_.write("config.yaml", text);
    return load(request_);
  }
  Settings settings_of(const std::string& text) {
    const LoadOutcome outcome = load_text(text);
    if (!outcome.loaded) {
      ADD_FAILURE() << outcome.errors.at(0).text();
      return {};
    }
    return outcome.loaded->settings;
  }
  std::vector<std::string> errors_of(const std::string& text) {
    const LoadOutcome outcome = load_text(text);
    std::vector<std::string> texts;
    for (const Problem& problem : outcome.errors) {
      texts.push_back(problem.text().substr(problem.text().find("config.yaml")));
    }
    EXPECT_EQ(outcome.loaded == nullptr, !texts.empty());
    return texts;
  }

  TestFolder folder_;
  LoadRequest request_ = [] {
    LoadRequest request;
    request.search.clear();
    return request;
  }();
};

TEST_F(LoaderTest, EveryErrorIsReportedWithLineKeyValueAndRange) {
  EXPECT_THAT(
      errors_of("cache:\n"
                "  similarity_threshold: 1.5\n"
                "  size_mb: lots\n"
                "  evictionpolicy: lru\n"
                "context:\n"
                "  enabled: maybe\n"
                "federatd:\n"
                "pca: 5\n"),
      ElementsAre("config.yaml:2: cache.similarity_threshold: must be 0 to 1 (got \"1.5\")",
                  "config.yaml:3: cache.size_mb: must be a whole number, 1 to 1048576 MiB (got \"lots\")",
                  "config.yaml:4: cache.evictionpolicy: unknown key; did you mean cache.eviction_policy?",
                  "config.yaml:6: context.enabled: must be true or false (got \"maybe\")",
                  "config.yaml:7: federatd: unknown section; did you mean federated?",
                  "config.yaml:8: pca: a section must be a map of keys (got \"5\")",
                  "config.yaml: Missing required config section: pca",
                  "config.yaml: Missing required config section: federated"));
}

TEST_F(LoaderTest, RequiredSections) {
  EXPECT_THAT(errors_of("cache:\ncontext:\nfederated:\n"),
              ElementsAre("config.yaml: Missing required config section: pca"));
  EXPECT_THAT(errors_of(""), SizeIs(4));
  EXPECT_THAT(errors_of(minimal_file()), IsEmpty());
}

TEST_F(LoaderTest, BrokenFiles) {
  EXPECT_THAT(errors_of("cache: [1,\n"), ElementsAre(HasSubstr("not readable as YAML")));
  EXPECT_THAT(errors_of("- a\n"), ElementsAre(HasSubstr("must be a map of sections")));
  EXPECT_THAT(errors_of(minimal_file("monitoring: {log_level: [a]}\n")),
              ElementsAre(HasSubstr("must be DEBUG or INFO or WARNING or ERROR, not a list")));
  EXPECT_THAT(errors_of(minimal_file("monitoring: {log_level: {a: b}}\n")),
              ElementsAre(HasSubstr("not a map of keys")));
  EXPECT_THAT(errors_of(minimal_file("server: {port: 1, port: 2}\n")),
              ElementsAre(HasSubstr("port: given twice in the same map")));
  request_.path = folder_ / "absent.yaml";
  EXPECT_THAT(load(request_).errors.at(0).message, HasSubstr("No such file"));
  request_.path = folder_ / "";
  EXPECT_THAT(load(request_).errors.at(0).message, HasSubstr("no regular file"));
  request_.path = "";
  EXPECT_THAT(load(request_).errors.at(0).text(), HasSubstr("--config"));
}

constexpr const char* kNested =
    "production:\n"
    "  cache: {similarity_threshold: 0.7, size_mb: 600}\n"
    "  context:\n  pca:\n  federated:\n"
    "staging:\n"
    "  cache: {similarity_threshold: 0.8}\n"
    "development:\n"
    "  monitoring: {log_level: DEBUG}\n";

TEST_F(LoaderTest, NestedFormPicksByEnvironmentAndInheritsProduction) {
  EXPECT_EQ(settings_of(kNested).cache.similarity_threshold, 0.7);
  request_.environment["ENV"] = "staging";
  Settings settings = settings_of(kNested);
  EXPECT_EQ(settings.cache.similarity_threshold, 0.8);
  EXPECT_EQ(settings.cache.size_mb, 600) << "from the file's production section, before any profile";
  EXPECT_TRUE(settings.monitoring.detailed_logging) << "from the staging profile";
  request_.environment["ENV"] = "Development";
  settings = settings_of(kNested);
  EXPECT_EQ(settings.monitoring.log_level, "DEBUG");
  EXPECT_TRUE(settings.monitoring.debug_mode);
}

TEST_F(LoaderTest, NestedFormWithoutProductionInheritsTheBuiltInOne) {
  const std::string staging_only = "staging:\n  cache: {ttl_seconds: 7}\n";
  request_.environment["ENV"] = "staging";
  const Settings settings = settings_of(staging_only);
  EXPECT_EQ(settings.cache.ttl_seconds, 7);
  EXPECT_EQ(settings.cache.size_mb, 200);
  request_.environment["ENV"] = "production";
  EXPECT_THAT(errors_of(staging_only), ElementsAre(HasSubstr("production: no section for this environment")));
}

TEST_F(LoaderTest, NestedFormIsCheckedToo) {
  EXPECT_THAT(errors_of("production:\n  cache:\n"), SizeIs(3)) << "a production section must be complete";
  EXPECT_THAT(errors_of(std::string(kNested) + "cache:\n"),
              ElementsAre(HasSubstr("cache: beside production, staging and development no other section")));
  EXPECT_THAT(errors_of(std::string(kNested) + "  cache: {size_mb: 0}\n"), IsEmpty())
      << "not this environment's";
  EXPECT_THAT(errors_of("staging: 5\nproduction:\n  cache:\n  context:\n  pca:\n  federated:\n"),
              ElementsAre(HasSubstr("an environment must be a map of sections")));
}

TEST_F(LoaderTest, ProfilesStandUnderAFileAndUnderENV) {
  EXPECT_EQ(load(request_).loaded->settings.cache.size_mb, 100) << "neither file nor ENV";
  EXPECT_EQ(settings_of(minimal_file()).cache.size_mb, 500) << "production when unset";
  EXPECT_EQ(settings_of("cache: {size_mb: 90}\ncontext:\npca:\nfederated:\n").cache.size_mb, 90);
  request_.environment["ENV"] = "staging";
  EXPECT_EQ(settings_of(minimal_file()).cache.size_mb, 200);
  request_.path.reset();
  request_.environment["ENV"] = "development";
  const LoadOutcome outcome = load(request_);
  EXPECT_EQ(outcome.loaded->settings.cache.size_mb, 50);
  EXPECT_EQ(outcome.loaded->values[find_key("cache.size_mb")].source, "built-in (development)");
  request_.environment["ENV"] = "test";
  EXPECT_EQ(load(request_).errors.at(0).text(),
            "ENV: must be production, staging or development (got \"test\")");
}

TEST_F(LoaderTest, PrecedenceFlagEnvironmentAdminFile) {
  const std::string file =
      "cache: {size_mb: 1, ttl_seconds: 1, candidates: 1, entry_kb_max: 1}\n"
      "context:\npca:\nfederated:\n";
  request_.admin_values = {{"cache.size_mb", "2"}, {"cache.ttl_seconds", "2"}, {"cache.candidates", "2"}};
  request_.environment = {{"EGPTC_CACHE__SIZE_MB", "3"}, {"EGPTC_CACHE__TTL_SECONDS", "3"}};
  request_.flags = {"cache.size_mb=4"};
  const Settings settings = settings_of(file);
  EXPECT_EQ(settings.cache.size_mb, 4);
  EXPECT_EQ(settings.cache.ttl_seconds, 3);
  EXPECT_EQ(settings.cache.candidates, 2);
  EXPECT_EQ(settings.cache.entry_kb_max, 1);
}

TEST_F(LoaderTest, AStrongerLayerDoesNotHideAnError) {
  request_.flags = {"--cache.size_mb=5"};
  EXPECT_THAT(errors_of("cache: {size_mb: 0}\ncontext:\npca:\nfederated:\n"), SizeIs(1));
}

TEST_F(LoaderTest, SearchOrder) {
  const std::string first = folder_.write("first.yaml", minimal_file("server: {port: 1}\n"));
  const std::string second = folder_.write("second.yaml", minimal_file("server: {port: 2}\n"));
  const std::string third = folder_.write("third.yaml", minimal_file("server: {port: 3}\n"));
  request_.search = {folder_ / "absent.yaml", third, second};
  EXPECT_EQ(load(request_).loaded->settings.server.port, 3);
  request_.environment["ENHANCED_GPTCACHE_CONFIG"] = second;
  EXPECT_EQ(load(request_).loaded->settings.server.port, 2);
  request_.path = first;
  EXPECT_EQ(load(request_).loaded->settings.server.port, 1);
  EXPECT_EQ(load(request_).loaded->path, first);
  request_.path.reset();
  request_.environment["ENHANCED_GPTCACHE_CONFIG"] = folder_ / "absent.yaml";
  EXPECT_EQ(load(request_).loaded, nullptr) << "a file that is named must exist";
}

TEST_F(LoaderTest, PlainEnvironmentNames) {
  request_.environment = {{"LOG_LEVEL", "warning"}, {"METRICS_ENABLED", "false"}, {"NO_PROXY", "a.b, .c"}};
  Settings settings = load(request_).loaded->settings;
  EXPECT_EQ(settings.monitoring.log_level, "WARNING");
  EXPECT_FALSE(settings.monitoring.metrics_enabled);
  EXPECT_THAT(settings.upstream.no_proxy, ElementsAre("a.b", ".c"));
  request_.environment["EGPTC_MONITORING__LOG_LEVEL"] = "ERROR";
  EXPECT_EQ(load(request_).loaded->settings.monitoring.log_level, "ERROR") << "the long name wins";
  request_.environment = {{"HTTPS_PROXY", "me:pass@proxy:3128"}};
  EXPECT_EQ(load(request_).loaded->settings.upstream.https_proxy, "http://me:pass@proxy:3128");
  request_.environment = {{"HTTPS_PROXY", "me:pass@proxy"}};
  EXPECT_THAT(load(request_).errors.at(0).text(), HasSubstr("the port is missing"));
  EXPECT_THAT(load(request_).errors.at(0).text(), Not(HasSubstr("pass@")));
  request_.environment = {{"LOG_LEVEL", "LOUD"}};
  EXPECT_EQ(load(request_).errors.at(0).text(),
            "LOG_LEVEL: monitoring.log_level: must be DEBUG or INFO or WARNING or ERROR (got \"LOUD\")");
}

TEST_F(LoaderTest, UnknownNamesInEnvironmentAndFlags) {
  request_.environment = {{"EGPTC_CACHE__SIZE", "5"}, {"EGPTC_SHARED_DATA", "x"}, {"OTHER__THING", "x"}};
  request_.flags = {"--server.prt=1", "--server.port"};
  const LoadOutcome outcome = load(request_);
  ASSERT_THAT(outcome.errors, SizeIs(3));
  EXPECT_EQ(outcome.errors[0].text(),
            "EGPTC_CACHE__SIZE: cache.size: unknown key; did you mean cache.size_mb?");
  EXPECT_EQ(outcome.errors[1].text(), "--server.prt: unknown key; did you mean server.port?");
  EXPECT_THAT(outcome.errors[2].text(), HasSubstr("--section.key=value"));
}

TEST_F(LoaderTest, VariablesThatAreNoSettingsAreNamed) {
  request_.environment = {{"EGPTC_CACHE_SIZE_MB", "5"}, {"EGPTC_SOMETHING_ELSE_ALTOGETHER", "x"}};
  const LoadOutcome outcome = load(request_);
  EXPECT_TRUE(outcome.errors.empty());
  std::vector<std::string> warnings;
  for (const Problem& problem : outcome.warnings) warnings.push_back(problem.text());
  EXPECT_THAT(warnings,
              testing::IsSupersetOf({"EGPTC_CACHE_SIZE_MB: is no setting and has no effect; did you mean "
                                     "EGPTC_CACHE__SIZE_MB?",
                                     "EGPTC_SOMETHING_ELSE_ALTOGETHER: is no setting and has no effect"}));
}

TEST_F(LoaderTest, VariablesAreExpandedInValues) {
  request_.environment = {{"MY_PORT", "9000"}, {"EMPTY", ""}};
  const Settings settings =
      settings_of(minimal_file("server: {port: \"${MY_PORT}\"}\n"
                               "monitoring: {log_file: \"${EMPTY:-/tmp/x}$${y}$z\"}\n"));
  EXPECT_EQ(settings.server.port, 9000);
  EXPECT_EQ(settings.monitoring.log_file, "/tmp/x${y}$z");
  EXPECT_THAT(errors_of(minimal_file("server: {port: \"${ABSENT}\"}\n")),
              ElementsAre(HasSubstr("config.yaml:5: the environment variable ABSENT is not set"),
                          HasSubstr("server.port")));
  request_.environment["LEAK"] = "sk-secret";
  EXPECT_THAT(errors_of(minimal_file("server: {port: \"${LEAK}\"}\n")),
              ElementsAre(HasSubstr("(got \"${LEAK}\")")))
      << "messages quote the file, not the variable";
}

TEST_F(LoaderTest, ReportsShowOriginsAndMaskSecrets) {
  request_.environment = {{"EGPTC_UPSTREAM__API_KEY", "sk-secret"},
                          {"HTTPS_PROXY", "http://me:sk-secret@proxy:3128"}};
  request_.flags = {R"(--upstream.routes=[{"model":"m","base_url":"http://h/v1/","api_key":"sk-secret"}])"};
  const LoadOutcome outcome = load(request_);
  ASSERT_TRUE(outcome.loaded);
  EXPECT_EQ(outcome.loaded->settings.upstream.api_key, "sk-secret");
  const std::string json = effective_json(*outcome.loaded);
  EXPECT_THAT(json, Not(HasSubstr("sk-secret")));
  const YAML::Node report = YAML::Load(json);
  EXPECT_EQ(report["sections"]["upstream"]["api_key"]["origin"].as<std::string>(), "environment");
  EXPECT_EQ(report["sections"]["upstream"]["api_key"]["source"].as<std::string>(), "EGPTC_UPSTREAM__API_KEY");
  EXPECT_EQ(report["sections"]["upstream"]["routes"]["origin"].as<std::string>(), "flag");
  EXPECT_EQ(report["sections"]["cache"]["size_mb"]["value"].as<int>(), 100);
  EXPECT_EQ(report["sections"]["server"]["port"]["reload"].as<std::string>(), "restart");
  EXPECT_EQ(*effective_value(*outcome.loaded, "upstream.api_key"), kMasked);
  EXPECT_EQ(*effective_value(*outcome.loaded, "upstream.https_proxy"), "http://********@proxy:3128");
  EXPECT_EQ(*effective_value(*outcome.loaded, "cache.similarity_threshold"), "0.65");
  EXPECT_THAT(effective_value(*outcome.loaded, "cache.size").error().message, HasSubstr("cache.size_mb"));
}

TEST_F(LoaderTest, ErrorsAsOneResult) {
  request_.flags = {"a=1", "b=2"};
  const auto result = load_or_error(request_);
  ASSERT_FALSE(result);
  EXPECT_EQ(std::count(result.error().message.begin(), result.error().message.end(), '\n'), 1);
  EXPECT_FALSE(process_environment().empty());
}

TEST_F(LoaderTest, SaysWhatAdminChangesMask) {
  request_.path = folder_.write("config.yaml",
                                "cache:\n  size_mb: 300\n  ttl_seconds: 5\n  candidates: 7\n"
                                "context:\npca:\nfederated:\n");
  request_.admin_values = {{"cache.size_mb", "5"},
                           {"cache.ttl_seconds", "5"},
                           {"cache.candidates", "9"},
                           {"context.window_size", "2"}};
  request_.flags = {"cache.candidates=11"};
  const LoadOutcome outcome = load(request_);
  ASSERT_TRUE(outcome.loaded);
  ASSERT_THAT(outcome.warnings, SizeIs(1))
      << "equal values, other layers and keys not in the file say nothing";
  EXPECT_THAT(outcome.warnings[0].text(), AllOf(HasSubstr("config.yaml:2: cache.size_mb: "),
                                                HasSubstr("masked by /admin/config"), HasSubstr("300")));
  EXPECT_EQ(outcome.loaded->settings.cache.size_mb, 5);
}

}  // namespace
}  // namespace enhanced_gptcache::config
