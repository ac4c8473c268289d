#include "store/hashed_prompts.h"

#include <gtest/gtest.h>

#include <map>

#include "fakes/fake_entry_table.h"
#include "store/stored_samples.h"

namespace enhanced_gptcache::store {
namespace {

constexpr std::string_view kPrompt = "what the prompt says";
constexpr std::string_view kHashed = "hashed:";

class HashedPromptsTest : public testing::Test {
 protected:
  HashedPromptsTest() {
    table_ = with_hashed_prompts(
        std::make_unique<fakes::FakeEntryTable>(disk_),
        [](std::string_view canonical) { return std::string(kHashed) + std::to_string(canonical.size()); },
        [](std::string_view canonical) { return canonical.starts_with(kHashed); });
  }
  static EntryChange put_of(uint64_t n, std::string_view canonical) {
    const base::Hash128 id = sample_key(1000 + n);
    const std::string id_text = id.hex();
    const std::vector<std::string> tags{"a", "b"};
    const std::vector<float> vector{0.6F, 0.8F};
    EntryContext context{2, 7, vector, {std::string(kPrompt)}};
    EntryFields fields;
    fields.id = id_text;
    fields.tenant = "acme";
    fields.name_space = "help";
    fields.model = "m";
    fields.user = "u";
    fields.dialect = "chat";
    fields.canonical = canonical;
    fields.query = kPrompt;
    fields.text = "the answer";
    fields.response_json = "{}";
    fields.completion = "c";
    fields.subject = "alice";
    fields.principal = "key:1";
    fields.model_epoch = "e";
    fields.policy_epoch = "p";
    fields.tags = tags;
    fields.created_ms = 5;
    fields.expires_ms = 9;
    fields.tokens_prompt = 11;
    fields.tokens_completion = 13;
    fields.latency_ms = 1.5;
    fields.exact_key = sample_key(n);
    fields.partition = sample_key(77);
    fields.semantic = true;
    fields.context = &context;
    fields.embedding = vector;
    auto bytes = std::make_shared<EntryBytes>(encode_entry(fields).value());
    return {sample_key(n), id, bytes, bytes->view()};
  }
  const std::string& row(uint64_t n) const { return disk_->rows.at(sample_key(n)).bytes; }

  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
  std::unique_ptr<EntryTable> table_;
};

TEST_F(HashedPromptsTest, WhatIsWrittenHasNothingOfThePrompt) {
  const EntryChange change = put_of(1, kPrompt);
  ASSERT_NE(change.bytes.find(kPrompt), std::string_view::npos);
  ASSERT_TRUE(table_->write({&change, 1}, true));
  EXPECT_EQ(disk_->syncs, 1) << "as it was asked for";
  EXPECT_EQ(row(1).find(kPrompt), std::string::npos);
  const auto view = EntryView::parse(row(1));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->text(EntryText::kCanonical), std::string(kHashed) + std::to_string(kPrompt.size()));
  EXPECT_EQ(view->text(EntryText::kQuery), "");
  EXPECT_TRUE(view->vector(EntryText::kEmbedding).empty()) << "a vector tells what a text is about";
  EXPECT_EQ(view->context_turns(), 0U);
  EXPECT_FALSE(view->semantic());
  // All else is as it was.
  const EntryView before = EntryView::trusted(change.bytes);
  for (const EntryText kept :
       {EntryText::kId, EntryText::kTenant, EntryText::kNamespace, EntryText::kModel, EntryText::kUser,
        EntryText::kDialect, EntryText::kText, EntryText::kResponseJson, EntryText::kCompletion,
        EntryText::kSubject, EntryText::kPrincipal, EntryText::kModelEpoch, EntryText::kPolicyEpoch})
    EXPECT_EQ(view->text(kept), before.text(kept)) << static_cast<int>(kept);
  EXPECT_EQ(view->list(EntryText::kTags), before.list(EntryText::kTags));
  EXPECT_EQ(view->created_ms(), 5);
  EXPECT_EQ(view->expires_ms(), 9);
  EXPECT_EQ(view->tokens_prompt(), 11U);
  EXPECT_EQ(view->tokens_completion(), 13U);
  EXPECT_EQ(view->latency_ms(), 1.5);
  EXPECT_EQ(view->exact_key(), sample_key(1));
  EXPECT_EQ(view->partition(), sample_key(77));
}

TEST_F(HashedPromptsTest, HashesAndRemovalsGoThroughAsTheyAre) {
  const EntryChange changes[] = {put_of(1, "hashed:already"), put_of(2, kPrompt), sample_removal(2)};
  ASSERT_TRUE(table_->write(changes, false));
  EXPECT_EQ(disk_->size(), 1U);
  EXPECT_EQ(row(1), changes[0].bytes);
}

TEST_F(HashedPromptsTest, OlderEntriesWithTextsAreHandedOutAndCounted) {
  const EntryChange old = put_of(1, kPrompt), hashed = put_of(2, "hashed:already");
  fakes::FakeEntryTable plain(disk_);
  ASSERT_TRUE(plain.write({&old, 1}, false));
  ASSERT_TRUE(plain.write({&hashed, 1}, false));
  std::map<base::Hash128, std::string> taken;
  const auto report = table_->load(1, [&](EntryBytes bytes, const base::Hash128& key, const base::Hash128&) {
    taken[key] = bytes.view();
  });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->entries, 2U);
  EXPECT_EQ(report->to_reseal, 1U) << "the one to be written again";
  EXPECT_EQ(taken.at(sample_key(1)), old.bytes) << "it still answers";
  ASSERT_TRUE(table_->write({&old, 1}, false));
  EXPECT_EQ(row(1).find(kPrompt), std::string::npos) << "written again without its text";
}

TEST_F(HashedPromptsTest, EverythingElseIsTheTablesOwn) {
  const EntryChange change = put_of(1, kPrompt);
  const base::Hash128 key = sample_key(1);
  EXPECT_EQ(table_->checkpoint("x").error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(table_->sync() && table_->settle() && table_->recover());
  EXPECT_TRUE(table_->purge({&key, 1}) && table_->finish_reseal(key));
  EXPECT_EQ(disk_->purges, 1);
  EXPECT_TRUE(table_->seal_keys().empty());
  table_->clear_quarantine();
  EXPECT_EQ(table_->stats().files, 0U);
  disk_->is_full = true;
  EXPECT_EQ(table_->write({&change, 1}, false).error().code, ErrorCode::kIo);
  for (const auto& done : {table_->sync(), table_->settle(), table_->recover(), table_->replace(),
                           table_->purge({&key, 1}), table_->finish_reseal(key)})
    EXPECT_EQ(done.error().code, ErrorCode::kIo);
  disk_->is_full = false;
  disk_->is_damaged = true;
  EXPECT_EQ(table_->write({&change, 1}, false).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(table_->replace());
  EXPECT_TRUE(table_->write({&change, 1}, false));
  EXPECT_EQ(disk_->size(), 1U);
}

}  // namespace
}  // namespace enhanced_gptcache::store
