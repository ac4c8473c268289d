// The row walk: whatever the table declares, the loader does, for every key and every layer.

#include "config/settings_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <set>

#include "config/admin_file.h"
#include "config/loader.h"
#include "config/test_folder.h"
#include "config/value.h"

namespace enhanced_gptcache::config {
namespace {

/// A request that sees nothing of the machine it runs on.
LoadRequest bare_request() {
  LoadRequest request;
  request.search.clear();
  return request;
}

/// Flags of other rows without which a value of this one is refused.
std::vector<std::string> company_of(const KeySpec& spec) {
  const std::string name = spec.name();
  const std::string secret = "--security.jwt_secret=" + std::string(32, 's');
  if (name == "server.host") return {"--security.insecure_listen=true"};
  if (spec.section == "limits" || name == "cache.share_after_principals" || name == "cache.client_stores")
    return {"--security.enabled=true"};
  if (name == "security.jwt_issuer") return {"--security.jwt_audience=us", secret};
  if (name == "security.jwt_jwks_file" || name == "security.jwt_jwks_url" ||
      name.starts_with("security.jwt_secret"))
    return {"--security.jwt_audience=us", "--security.jwt_issuer=them"};
  if (name == "storage.encryption") return {"--storage.encryption_keys=k"};
  if (name == "storage.prompts") return {"--storage.encryption=aes-256-gcm", "--storage.encryption_keys=k"};
  if (name == "server.tls_cert_file") return {"--server.tls_key_file=key.pem"};
  if (name == "server.tls_key_file") return {"--server.tls_cert_file=cert.pem"};
  if (name == "storage.backup_encryption") return {"--storage.backup_keys=k"};
  if (name == "security.client_certificates")
    return {"--server.tls_cert_file=cert.pem", "--server.tls_key_file=key.pem",
            "--server.tls_client_ca_file=ca.pem"};
  if (name == "server.tls_client_ca_file")
    return {"--server.tls_cert_file=cert.pem", "--server.tls_key_file=key.pem"};
  return {};
}

LoadOutcome load_flag(const KeySpec& spec, const std::string& value) {
  LoadRequest request = bare_request();
  request.flags = company_of(spec);
  request.flags.push_back(fmt::format("--{}={}", spec.name(), value));
  return load(request);
}

/// Are the elements of a list checked, or is any text one?
bool has_checked_elements(const KeySpec& spec) {
  return !spec.choices.empty() || spec.form != Form::kAny || spec.name() == "security.jwt_role_map" ||
         spec.name() == "security.client_certificates" || spec.name() == "cache.serve_percent_by_namespace" ||
         spec.name() == "compliance.pii_by_namespace" || spec.name() == "monitoring.prices";
}

/// A valid value that is not the default; empty when the row has none that is built.
std::string other_value(const KeySpec& spec, const TestFolder& folder) {
  const Settings defaults;
  const std::string current = value_text(spec, defaults);
  if (spec.secret_file) return folder.write("key", std::string(32, 'k') + "\n");
  if (spec.name() == "security.jwt_secret") return std::string(32, 'o');
  if (spec.name() == "security.jwt_jwks_url") return "https://other.example/keys";
  if (spec.name() == "security.jwt_role_map") return "staff=viewer,boss=admin";
  if (spec.name() == "security.client_certificates") return "DNS:a.example=client@shop,CN:boss=admin@shop";
  if (spec.name() == "cache.serve_percent_by_namespace") return "a=50,b=0";
  if (spec.name() == "monitoring.prices") return "gpt-4o-mini=0.15/0.6,gpt-4o*=2.5/10";
  if (spec.name() == "tracing.endpoint") return "http://127.0.0.1:4318/v1/traces";
  if (spec.name() == "compliance.pii_by_namespace") return "a=skip,b=store";
  if (spec.name() == "upstream.ca_file") return folder.write("ca", "-----BEGIN CERTIFICATE-----\n");
  switch (spec.type) {
    case Type::kBool:
      return spec.later.empty() ? (current == "true" ? "false" : "true") : "";
    case Type::kInt:
    case Type::kDouble:
      return current == format_number(spec.high) ? format_number(spec.low) : format_number(spec.high);
    case Type::kEnum:
      for (const std::string& word : split_words(spec.choices)) {
        if (word != current) return word;
      }
      return "";
    case Type::kText:
      if (spec.form == Form::kUrl) return "https://other.example/v2";
      if (spec.form == Form::kProxyUrl) return "http://proxy.example:3128";
      if (spec.form == Form::kAddress) return "0.0.0.0";
      return "other";
    case Type::kList:
      if (!spec.choices.empty()) return split_words(spec.choices)[0] + "," + split_words(spec.choices)[1];
      if (spec.form == Form::kNetwork) return "10.0.0.0/8,2001:db8::1";
      return "a.example,b.example";
    case Type::kRoutes:
      return R"([{"model":"m*","base_url":"http://h:1/v1","api_key":"","api_key_file":"","fallbacks":[]}])";
  }
  return "";
}

std::string expected_text(const KeySpec& spec, const std::string& value) {
  return spec.secret ? kMasked : value;
}

TEST(SettingsTable, DefaultsAreValidAndInsideTheirRange) {
  const LoadOutcome outcome = load(bare_request());
  ASSERT_TRUE(outcome.loaded);
  EXPECT_TRUE(outcome.warnings.empty());
  const Settings defaults;
  for (const KeySpec& spec : keys()) {
    SCOPED_TRACE(spec.name());
    EXPECT_TRUE(same_value(spec, defaults, outcome.loaded->settings));
    Settings again;
    std::vector<Problem> problems;
    if (!spec.secret) {
      EXPECT_TRUE(assign_text(spec, value_text(spec, defaults), again, ProblemSink("test", problems)));
    }
    EXPECT_TRUE(same_value(spec, defaults, again));
  }
}

TEST(SettingsTable, ACredentialIsOneWordOrASchemeAndAWord) {
  for (const char* text : {"", "key", "Bearer key", "Basic dXM6d29yZA=="})
    EXPECT_EQ(check_credential(text), "") << text;
  const std::string longest(kTextBytesMax, 'k');
  for (const std::string& text : {std::string(" "), std::string("Bearer "), std::string(" key"),
                                  std::string("a b c"), std::string("a  b"), std::string("a\r\nX-Evil: 1"),
                                  std::string("a\tb"), std::string("k\xc3\xa9y"), "Bearer " + longest})
    EXPECT_NE(check_credential(text), "") << text;
}

TEST(SettingsTable, EveryRowIsDescribedOnce) {
  std::set<std::string> names;
  std::set<std::string_view> section_names;
  for (const SectionSpec& section : sections()) EXPECT_TRUE(section_names.insert(section.name).second);
  for (const KeySpec& spec : keys()) {
    SCOPED_TRACE(spec.name());
    EXPECT_TRUE(names.insert(spec.name()).second);
    EXPECT_EQ(section_names.count(spec.section), 1U);
    EXPECT_TRUE(spec.sentence.ends_with("."));
    EXPECT_GT(spec.sentence.size(), 15U);
    const bool numeric = spec.type == Type::kInt || spec.type == Type::kDouble;
    EXPECT_EQ(spec.ranged, numeric) << "numbers have a range, nothing else has";
    if (spec.type != Type::kList) {
      EXPECT_EQ(spec.type == Type::kEnum, !spec.choices.empty());
    }
    EXPECT_EQ(keys()[find_key(spec.name())].name(), spec.name());
  }
  EXPECT_EQ(find_key("cache.size"), kNoKey);
  EXPECT_EQ(find_key("cache_size_mb"), kNoKey);
}

TEST(SettingsTable, ValuesJustOutsideTheRangeAreRejected) {
  for (const KeySpec& spec : keys()) {
    if (!spec.ranged) continue;
    SCOPED_TRACE(spec.name());
    const bool whole = spec.type == Type::kInt;
    const double below = whole ? spec.low - 1 : std::nextafter(spec.low, -INFINITY);
    const double above = whole ? spec.high + 1 : std::nextafter(spec.high, INFINITY);
    for (const double outside : {below, above}) {
      const LoadOutcome outcome = load_flag(spec, fmt::format("{}", outside));
      ASSERT_EQ(outcome.errors.size(), 1U);
      EXPECT_EQ(outcome.errors[0].key, spec.name());
      EXPECT_NE(outcome.errors[0].text().find(allowed_values(spec)), std::string::npos)
          << outcome.errors[0].text();
    }
    for (const double edge : {spec.low, spec.high}) {
      EXPECT_TRUE(load_flag(spec, format_number(edge)).loaded) << edge;
    }
  }
}

TEST(SettingsTable, WrongTypesAreRejected) {
  for (const KeySpec& spec : keys()) {
    SCOPED_TRACE(spec.name());
    if (spec.ranged || spec.type == Type::kBool || spec.type == Type::kEnum) {
      EXPECT_FALSE(load_flag(spec, "banana").loaded);
      EXPECT_FALSE(load_flag(spec, "").loaded);
    }
    if (spec.type == Type::kInt) {
      EXPECT_FALSE(load_flag(spec, "1.5").loaded);
    }
    if (spec.type == Type::kDouble) {
      EXPECT_FALSE(load_flag(spec, "nan").loaded);
    }
    if (spec.type == Type::kText) {
      EXPECT_FALSE(load_flag(spec, "two\nlines").loaded);
    }
    if (spec.type == Type::kRoutes) {
      EXPECT_FALSE(load_flag(spec, "{a: b}").loaded);
    }
    if (spec.type == Type::kList) {
      EXPECT_FALSE(load_flag(spec, "[[nested]]").loaded);
      EXPECT_EQ(load_flag(spec, "[no-such-choice]").loaded == nullptr, has_checked_elements(spec));
    }
  }
}

TEST(SettingsTable, EveryLayerSetsEveryKey) {
  const TestFolder folder;
  for (const KeySpec& spec : keys()) {
    SCOPED_TRACE(spec.name());
    const std::string value = other_value(spec, folder);
    if (value.empty()) continue;
    std::vector<LoadRequest> requests(4, bare_request());
    requests[0].flags = {"--" + spec.name() + "=" + value};
    requests[1].environment[spec.environment_name()] = value;
    const bool quoted = spec.type == Type::kText || spec.type == Type::kEnum;
    const std::string yaml = spec.type == Type::kList ? "[" + value + "]"
                             : quoted                 ? "\"" + value + "\""
                                                      : value;
    requests[2].path =
        folder.write("config.yaml", fmt::format("{}{}: {{{}: {}}}\n",
                                                spec.section == "cache"     ? "context:\npca:\nfederated:\n"
                                                : spec.section == "context" ? "cache:\npca:\nfederated:\n"
                                                : spec.section == "pca"     ? "cache:\ncontext:\nfederated:\n"
                                                : spec.section == "federated" ? "cache:\ncontext:\npca:\n"
                                                                              : minimal_file(),
                                                spec.section, spec.key, yaml));
    requests[3].admin_values.emplace()[spec.name()] = value;
    const Origin origins[] = {Origin::kFlag, Origin::kEnvironment, Origin::kFile, Origin::kAdmin};
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const std::string& flag : company_of(spec)) requests[i].flags.push_back(flag);
      const LoadOutcome outcome = load(requests[i]);
      if (!may_be_admin_change(spec.name()) && origins[i] == Origin::kAdmin) {
        EXPECT_FALSE(outcome.loaded) << "whom this machine calls and what it reads is not for the network";
        continue;
      }
      ASSERT_TRUE(outcome.loaded) << outcome.errors.at(0).text();
      EXPECT_EQ(value_text(spec, outcome.loaded->settings), expected_text(spec, value));
      EXPECT_EQ(outcome.loaded->values[find_key(spec.name())].origin, origins[i]);
      EXPECT_FALSE(same_value(spec, Settings{}, outcome.loaded->settings));
    }
  }
}

TEST(SettingsTable, WhatOnlyTheMachineCanJudgeIsNotSetOverTheNetwork) {
  for (const KeySpec& spec : keys()) {
    const std::string name = spec.name();
    // A new row that names a file, a folder or an address has to be looked at.
    const bool names_a_place = name.ends_with("_file") || name.ends_with("_dir") || name.ends_with("path") ||
                               name.ends_with("url") || spec.form == Form::kUrl ||
                               spec.form == Form::kProxyUrl || spec.form == Form::kAddress ||
                               spec.type == Type::kRoutes;
    EXPECT_FALSE(names_a_place && may_be_admin_change(name)) << name;
  }
  for (const char* name : {"server.port", "security.enabled", "security.insecure_listen", "embedder.enabled",
                           "embedder.kernel", "context.embedding_model", "storage.encryption_keys",
                           "storage.encryption_key_command", "storage.backup_keys", "tracing.endpoint"})
    EXPECT_FALSE(may_be_admin_change(name)) << name;
  for (const char* name :
       {"cache.size_mb", "server.threads", "security.admin_networks", "limits.concurrent_key"})
    EXPECT_TRUE(may_be_admin_change(name)) << name;
}

TEST(SettingsTable, ValuesAndKeysOfLaterVersionsAreRefusedByName) {
  for (const KeySpec& spec : keys()) {
    for (const std::string& word : split_words(spec.later)) {
      const LoadOutcome outcome = load_flag(spec, word);
      ASSERT_EQ(outcome.errors.size(), 1U) << spec.name();
      EXPECT_NE(outcome.errors[0].message.find("not built yet in this version"), std::string::npos);
    }
  }
  for (const LaterSpec& later : later_keys()) {
    LoadRequest request = bare_request();
    request.flags = {fmt::format("{}.{}=1", later.section, later.key == "*" ? "url" : later.key)};
    const LoadOutcome outcome = load(request);
    ASSERT_EQ(outcome.errors.size(), 1U) << request.flags[0];
    EXPECT_NE(outcome.errors[0].message.find("not built yet"), std::string::npos);
  }
}

TEST(SettingsTable, NearestKey) {
  EXPECT_EQ(nearest_key("cache.similarity_treshold"), "cache.similarity_threshold");
  EXPECT_EQ(nearest_key("cache.sizemb"), "cache.size_mb");
  EXPECT_EQ(nearest_key("cache.port"), "server.port") << "the right key in the wrong section";
}

TEST(SettingsTable, JsonListsEveryRow) {
  const YAML::Node rows = YAML::Load(settings_table_json());  // JSON is YAML
  ASSERT_EQ(rows.size(), keys().size());
  for (size_t i = 0; i < keys().size(); ++i) {
    EXPECT_EQ(rows[i]["name"].as<std::string>(), keys()[i].name());
    EXPECT_EQ(rows[i]["type"].as<std::string>(), type_name(keys()[i].type));
    EXPECT_EQ(rows[i]["environment"].as<std::string>(), keys()[i].environment_name());
    EXPECT_TRUE(rows[i]["default"].IsDefined());
    EXPECT_EQ(rows[i]["min"].IsDefined(), keys()[i].ranged);
  }
}

}  // namespace
}  // namespace enhanced_gptcache::config
