// Tenants that share the operator's provider key must not reach what the others keep at the provider.
#include "proxy/shared_account.h"

#include "proxy/proxy_fixture.h"

namespace enhanced_gptcache::proxy {
namespace {

using testing::HasSubstr;

bool stateless(std::string method, std::string target, http::Headers headers = {}) {
  boost::asio::io_context io;
  const auto made =
      std::make_shared<fakes::FakeExchange>(io, std::move(method), std::move(target), std::move(headers));
  return is_stateless(made->request());
}

TEST(SharedAccount, KnowsWhatKeepsNothing) {
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/responses",
        "/v1/messages", "/v1/messages/count_tokens", "/v1/images/generations", "/v1/images/edits",
        "/v1/audio/speech", "/v1/audio/transcriptions?x=1", "/v1/rerank",
        "/openai/deployments/gpt-4o/chat/completions?api-version=1"})
    EXPECT_TRUE(stateless("POST", path)) << path;
  for (const char* path : {"/v1/models", "/v1/models/gpt-4o", "/v1/models/ft:gpt-4o:acme::1",
                           "/v1/models/openai/gpt-4o", "/v1/models/ft%3Agpt"})
    EXPECT_TRUE(stateless("GET", path)) << path;
  const http::Headers upgrade = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
  EXPECT_TRUE(stateless("GET", "/v1/realtime?model=gpt-realtime&intent=transcription", upgrade));
}

TEST(SharedAccount, TakesEverythingElseForKept) {
  for (const char* path : {"/v1/files",
                           "/v1/files/file-1/content",
                           "/v1/batches",
                           "/v1/threads/t",
                           "/v1/assistants",
                           "/v1/vector_stores",
                           "/v1/fine_tuning/jobs",
                           "/v1/responses/resp_1",
                           "/v1/chat/completions",
                           "/v1/chat/completions/c/messages",
                           "/v1/responses",
                           "/v1/conversations/c",
                           "/v1/uploads",
                           "/v1/organization/usage",
                           "/v1/messages/batches",
                           "/v1/anything",
                           "/v1/",
                           "/v1",
                           "/v1/models/../files",
                           "/v1/models/%2e%2e/files",
                           "/v1/models/%252e%252e/files",
                           "/v1/models/a%5c..",
                           "/v1/models/",
                           "/v1//chat/completions",
                           "/v1/realtime",
                           "/openai/deployments/d/files",
                           "/openai/deployments/"})
    EXPECT_FALSE(stateless("GET", path)) << path;
  for (const char* path :
       {"/v1/files", "/v1/responses/resp_1/cancel", "/v1/chat/completions/../../files",
        "/v1/chat/completions/", "/V1/chat/completions", "/v1/realtime/client_secrets", "/v1/models",
        "/openai/deployments/../files/chat/completions", "/openai/deployments/a%2f../chat/completions",
        "/openai/deployments/d/x/chat/completions"})
    EXPECT_FALSE(stateless("POST", path)) << path;
  for (const char* method : {"DELETE", "PUT", "PATCH", "OPTIONS", "PURGE", "get"})
    EXPECT_FALSE(stateless(method, "/v1/models/ft:mine")) << method;
  EXPECT_FALSE(stateless("GET", "/v1/models/ft:mine", {{"X-HTTP-Method-Override", "DELETE"}}));
  const http::Headers upgrade = {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}};
  EXPECT_FALSE(stateless("GET", "/v1/realtime?call_id=c", upgrade));
  EXPECT_FALSE(stateless("GET", "/v1/realtime?call%5fid=c", upgrade));
  EXPECT_FALSE(stateless("GET", "/v1/responses", upgrade));
}

TEST(SharedAccount, SeesWhatABodyNames) {
  for (const char* body :
       {R"({"input":"x","previous_response_id":"resp_1"})", R"({"conversation":"conv_1"})",
        R"({"conversation":{"id":"conv_1"}})", R"({"input":[{"id":"msg_1","type":"item_reference"}]})",
        R"({"input":[{"id":"msg_1"}]})", R"({"input":[{"id":"msg_1","type":null}]})",
        R"({"input":[{"id":"ig_1","type":"image_generation_call"}]})",
        R"({"input":[{"content":[{"file_id":"file-1","type":"input_file"}]}]})",
        R"({"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]})",
        R"({"tools":[{"container":"cntr_1"}]})",
        R"({"tools":[{"container":{"file_ids":["file-1"],"type":"auto"}}]})",
        R"({"background":true,"input":"x"})"})
    EXPECT_TRUE(names_stored_state(body)) << body;
  for (const char* body :
       {R"({"input":"say \"previous_response_id\":\"resp_1\"","previous_response_id":null})",
        R"({"conversation":null,"input":"x","store":true})", R"({"background":false})",
        R"({"input":"{\"file_id\":\"file-1\"}"})", R"({"prompt":{"id":"pmpt_1"}})",
        R"({"tools":[{"container":{"type":"auto"},"type":"code_interpreter"}]})",
        R"({"tools":[{"parameters":{"properties":{"conversation":{"type":"string"}}}}]})",
        R"({"tools":[{"parameters":{"properties":{"file_id":{"type":"string"}}}}]})",
        R"({"input":[{"content":[],"id":"msg_1","role":"assistant","type":"message"}]})", R"([1])", R"({})"})
    EXPECT_FALSE(names_stored_state(body)) << body;
  EXPECT_TRUE(names_a_file(R"({"messages":[{"content":[{"file":{"file_id":"file-1"},"type":"file"}]}]})"));
  EXPECT_FALSE(names_a_file(R"({"messages":[{"content":"\"file_id\":\"file-1\""}]})"));
}

class SharedAccountTest : public ProxyTest {
 protected:
  SharedAccountTest() {
    upstream_->passes = false;
    rebuild({});
  }
  void rebuild(const ProxyOptions& options) {
    ProxyParts parts{.cache = cache_.get(), .upstream = upstream_, .embedder = embedder_};
    parts.observer = &observer_;
    parts.is_only_tenant = [this](const security::Identity& who) { return who.tenant == only_tenant_; };
    proxy_ = std::make_unique<Proxy>(options, std::move(parts));
  }
  ExchangePtr call(void (Proxy::*handler)(http::ExchangePtr), std::string method, std::string target,
                   std::string body = "", http::Headers headers = {}) {
    const ExchangePtr made =
        exchange(std::move(target), std::move(body), std::move(headers), std::move(method));
    if (role_) {
      auto identity = std::make_shared<security::Identity>();
      identity->id = "key:1";
      identity->tenant = "acme";
      identity->role = *role_;
      auto pass = std::make_shared<security::Pass>();
      pass->identity = std::move(identity);
      made->pass = std::move(pass);
    }
    start(handler, made);
    finish(made);
    return made;
  }
  ExchangePtr files(http::Headers headers = {}) {
    return call(&Proxy::handle_pass_through, "GET", "/v1/files", "", std::move(headers));
  }

  std::optional<security::Role> role_ = security::Role::kClient;
  std::string only_tenant_;
};

TEST_F(SharedAccountTest, RefusesWhatIsKeptAndSaysHowToAllowIt) {
  const ExchangePtr refused = files();
  EXPECT_EQ(refused->status, 403);
  const auto error = nlohmann::json::parse(refused->answer_body)["error"];
  EXPECT_EQ(error["code"], "shared_resources_refused");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("upstream.shared_resources"));
  EXPECT_TRUE(refused->notes.refused) << "for the audit log";
  role_ = security::Role::kOperator;
  EXPECT_EQ(files()->status, 403);
  EXPECT_EQ(call(&Proxy::handle_pass_through, "GET", "/v1/responses/resp_1")->status, 403);
  EXPECT_EQ(call(&Proxy::handle_pass_through, "GET", "/v1/chat/completions")->status, 403);
  const std::string referring = R"({"model":"m","input":"x","previous_response_id":"resp_1"})";
  EXPECT_EQ(call(&Proxy::handle_uncached, "POST", "/v1/responses", referring)->status, 403);
  EXPECT_EQ(call(&Proxy::handle_uncached, "POST", "/v1/responses", "{no JSON")->status, 403);
  const std::string file = R"({"model":"m","messages":[{"role":"user","content":[{"type":"file",)"
                           R"("file":{"file\u005fid":"file-1"}}]}]})";
  EXPECT_EQ(call(&Proxy::handle_chat, "POST", "/v1/chat/completions", file)->status, 403);
  EXPECT_EQ(upstream_->calls(), 0U);
}

TEST_F(SharedAccountTest, LetsThroughWhatKeepsNothing) {
  EXPECT_EQ(call(&Proxy::handle_chat, "POST", "/v1/chat/completions", chat_body("Which is it?"))->status,
            200);
  EXPECT_EQ(call(&Proxy::handle_uncached, "POST", "/v1/responses", R"({"model":"m","input":"x"})")->status,
            200);
  EXPECT_EQ(call(&Proxy::handle_pass_through, "POST", "/v1/moderations")->status, 200);
  EXPECT_EQ(call(&Proxy::handle_models, "GET", "/v1/models")->status, 200);
  EXPECT_EQ(upstream_->calls(), 4U);
}

TEST_F(SharedAccountTest, RefusesNobodyWhoSharesWithNobody) {
  only_tenant_ = "acme";
  EXPECT_EQ(files()->status, 200) << "one tenant";
  only_tenant_.clear();
  role_ = security::Role::kAdmin;
  EXPECT_EQ(files()->status, 200) << "who decides about the setting";
  role_.reset();
  EXPECT_EQ(files()->status, 200) << "security off";
  role_ = security::Role::kClient;
  upstream_->passes = true;
  EXPECT_EQ(files({{"Authorization", "Bearer sk-mine"}})->status, 200) << "the caller's own account";
  EXPECT_EQ(files()->status, 403) << "a provider that asks for no key has one account, too";
  upstream_->passes = false;
  EXPECT_EQ(files({{"Authorization", "Bearer sk-mine"}})->status, 403) << "the caller's key is replaced";
  ProxyOptions options;
  options.share_provider_account = true;
  rebuild(options);
  EXPECT_EQ(files()->status, 200) << "allowed";
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
