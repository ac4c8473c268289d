#include "security/permissions.h"

#include <gtest/gtest.h>

#include <set>

namespace enhanced_gptcache::security {
namespace {

std::string asked(std::string_view method, std::string_view path, Role role, Flags scopes = Flags::all()) {
  const Permission* row = find_permission(method, path);
  if (row == nullptr) return "nobody";
  if (row->open) return "open";
  Identity identity;
  identity.role = role;
  identity.scopes = scopes;
  return why_not(*row, identity).empty() ? "yes" : "no";
}

TEST(Permissions, RolesReachWhatTheyAreFor) {
  EXPECT_EQ(asked("GET", "/health", Role::kViewer), "open");
  EXPECT_EQ(asked("HEAD", "/live", Role::kViewer), "open");
  EXPECT_EQ(asked("POST", "/v1/chat/completions", Role::kClient), "yes");
  EXPECT_EQ(asked("POST", "/v1/chat/completions", Role::kViewer), "no");
  EXPECT_EQ(asked("GET", "/v1/anything/else", Role::kClient), "yes");
  EXPECT_EQ(asked("GET", "/metrics", Role::kViewer), "yes");
  EXPECT_EQ(asked("GET", "/metrics", Role::kClient), "no");
  EXPECT_EQ(asked("POST", "/cache/explain", Role::kClient), "no");
  EXPECT_EQ(asked("POST", "/cache/explain", Role::kOperator), "yes");
  EXPECT_EQ(asked("GET", "/cache/entries", Role::kClient), "no");
  EXPECT_EQ(asked("GET", "/cache/entries/00ff", Role::kClient), "yes");
  for (const char* path : {"/admin/keys", "/admin/audit"})
    EXPECT_EQ(asked("GET", path, Role::kOperator), "no");
  EXPECT_EQ(asked("PUT", "/admin/config", Role::kOperator), "no");
  EXPECT_EQ(asked("PUT", "/admin/config", Role::kAdmin), "yes");
  EXPECT_EQ(asked("DELETE", "/admin/keys/00ff", Role::kAdmin), "yes");
  EXPECT_EQ(asked("GET", "/console", Role::kViewer), "open");
  EXPECT_EQ(asked("GET", "/console/app.js", Role::kViewer), "open");
  EXPECT_EQ(asked("GET", "/admin/events", Role::kViewer), "yes");
  EXPECT_EQ(asked("GET", "/admin/events", Role::kClient), "no");
  EXPECT_EQ(asked("GET", "/admin/tau", Role::kOperator), "yes");
  EXPECT_EQ(asked("GET", "/admin/tau", Role::kViewer), "no");
  EXPECT_EQ(asked("GET", "/admin/backup", Role::kOperator), "no");
}

TEST(Permissions, WhoSomebodyIsIsToldToAllButStrangers) {
  const Permission* row = find_permission("GET", "/console/session");
  ASSERT_NE(row, nullptr);
  EXPECT_FALSE(row->open);
  for (const char* scope : {"proxy", "metrics", "admin:write"})
    EXPECT_EQ(asked("GET", "/console/session", Role::kViewer, *parse_scopes({scope})), "yes") << scope;
  EXPECT_EQ(asked("POST", "/console/session", Role::kAdmin), "nobody");
}

TEST(Permissions, WhatIsNotListedIsClosed) {
  for (const char* path : {"/", "/admin", "/administrator", "/v1", "/cache", "/cache/entriesx", "/Health",
                           "/metrics/", "/openai/other"})
    EXPECT_EQ(asked("GET", path, Role::kAdmin), "nobody") << path;
  EXPECT_EQ(asked("POST", "/health", Role::kAdmin), "nobody");
}

TEST(Permissions, ScopesNarrowARole) {
  const Flags proxy = *parse_scopes({"proxy"});
  EXPECT_EQ(asked("POST", "/v1/chat/completions", Role::kAdmin, proxy), "yes");
  EXPECT_EQ(asked("POST", "/cache/lookup", Role::kAdmin, proxy), "no");
  EXPECT_EQ(asked("PUT", "/admin/config", Role::kAdmin, proxy), "no");
  EXPECT_EQ(asked("PUT", "/admin/config", Role::kAdmin, *parse_scopes({"admin:read"})), "no");
  EXPECT_EQ(asked("GET", "/admin/config", Role::kAdmin, *parse_scopes({"admin:read"})), "yes");
}

TEST(Permissions, NamesGoBothWays) {
  for (size_t i = 0; i < kRoles; ++i)
    EXPECT_EQ(parse_role(to_string(static_cast<Role>(i))), static_cast<Role>(i));
  EXPECT_FALSE(parse_role("Admin"));
  for (size_t i = 0; i < kScopes; ++i)
    EXPECT_TRUE(parse_scopes({std::string(to_string(static_cast<Scope>(i)))})->has(i));
  for (size_t i = 0; i < kControls; ++i)
    EXPECT_TRUE(parse_controls({std::string(to_string(static_cast<Control>(i)))})->has(i));
  EXPECT_EQ(parse_scopes({}), Flags::all());
  EXPECT_FALSE(parse_scopes({"proxy", ""}));
}

TEST(Permissions, TenantsOfNamesAreNoHashes) {
  EXPECT_NE(tenant_of_name("anonymous"), "anonymous");
  EXPECT_FALSE(check_tenant_name(""));
  EXPECT_FALSE(check_tenant_name("a b"));
  EXPECT_FALSE(check_tenant_name(std::string(129, 'a')));
  EXPECT_TRUE(check_tenant_name("https://id.example/acme"));
}

TEST(Permissions, TheTableIsShownWhole) {
  const std::string json = permissions_json();
  for (const Permission& row : permissions()) EXPECT_NE(json.find(row.path), std::string::npos);
}

}  // namespace
}  // namespace enhanced_gptcache::security
