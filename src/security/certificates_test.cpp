#include "security/certificates.h"

#include <gtest/gtest.h>

namespace enhanced_gptcache::security {
namespace {

CertificateMap map_of(const std::vector<std::string>& rows) {
  auto map = CertificateMap::parse(rows);
  EXPECT_TRUE(map) << map.error().message;
  return map ? *std::move(map) : CertificateMap();
}

TEST(CertificateMap, GivesRoleAndTenantOfTheFirstRowThatFits) {
  const CertificateMap map = map_of(
      {"URI:spiffe://shop/web?a=b=client@shop", "DNS:Ops.Example=operator@shop", "CN:the boss=admin@head"});
  const IdentityPtr web = map.find({"CN:the boss", "URI:spiffe://shop/web?a=b"});
  ASSERT_NE(web, nullptr);
  EXPECT_EQ(web->role, Role::kClient) << "the order of the rows decides, not that of the names";
  EXPECT_EQ(web->tenant, tenant_of_name("shop"));
  EXPECT_EQ(web->id, "certificate:URI:spiffe://shop/web?a=b");
  EXPECT_FALSE(web->is_trusted_writer());
  EXPECT_EQ(map.find({"DNS:ops.EXAMPLE"})->role, Role::kOperator);
  EXPECT_EQ(map.find({"CN:the boss"})->tenant, tenant_of_name("head"));
}

TEST(CertificateMap, KnowsWhetherThereAreOtherTenants) {
  const CertificateMap map = map_of({"CN:web=client@shop", "CN:boss=admin@head", "CN:watch=viewer@head"});
  EXPECT_FALSE(map.has_other_tenant(tenant_of_name("shop")));
  EXPECT_TRUE(map.has_other_tenant(tenant_of_name("head")));
  EXPECT_FALSE(CertificateMap().has_other_tenant("any"));
}

TEST(CertificateMap, KnowsNobodyElse) {
  const CertificateMap map =
      map_of({"DNS:a.example=client@shop", "CN:web=client@shop", "URI:x://Y=viewer@t"});
  for (const char* name : {"CN:a.example", "DNS:b.a.example", "DNS:*.example", "DNS:a.example.", "CN:Web",
                           "CN:web ", "email:web", "URI:x://y", "", "DNS:"})
    EXPECT_EQ(map.find({name}), nullptr) << name;
  EXPECT_EQ(map.find({}), nullptr);
  EXPECT_EQ(CertificateMap().find({"CN:web"}), nullptr);
  EXPECT_TRUE(CertificateMap().empty());
}

TEST(CertificateMap, NamesTheRowThatIsNone) {
  for (const char* row : {"", "CN:web", "CN:web=client", "CN:web=client@", "CN:web=root@shop", "=client@shop",
                          "CN:web=client@two words", "CN:web=@shop"}) {
    const auto map = CertificateMap::parse({"CN:a=client@b", row});
    ASSERT_FALSE(map) << row;
    EXPECT_EQ(map.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(map.error().message.find(row), std::string::npos);
  }
}

}  // namespace
}  // namespace enhanced_gptcache::security
