#include "store/hashed_prompts.h"

#include <atomic>
#include <utility>

namespace enhanced_gptcache::store {
namespace {

class HashedPrompts final : public EntryTable {
 public:
  HashedPrompts(std::unique_ptr<EntryTable> table, HashPrompt hash, IsHashed is_hashed)
      : table_(std::move(table)), hash_(std::move(hash)), is_hashed_(std::move(is_hashed)) {}

  Result<void> write(std::span<const EntryChange> changes, bool is_synced) override {
    std::vector<EntryChange> without_text;
    without_text.reserve(changes.size());
    for (const EntryChange& change : changes) {
      if (change.is_removal() || is_hashed_(EntryView::trusted(change.bytes).text(EntryText::kCanonical))) {
        without_text.push_back(change);
        continue;
      }
      EGPTC_TRY(EntryBytes bytes, without_prompt(change.bytes));
      auto owner = std::make_shared<const EntryBytes>(std::move(bytes));
      without_text.push_back({change.key, change.id, owner, owner->view()});
    }
    return table_->write(without_text, is_synced);
  }
  Result<LoadReport> load(size_t threads, const Take& take) override {
    std::atomic<uint64_t> with_text{0};
    auto report =
        table_->load(threads, [&](EntryBytes bytes, const base::Hash128& key, const base::Hash128& id) {
          if (!is_hashed_(EntryView::trusted(bytes.view()).text(EntryText::kCanonical))) ++with_text;
          take(std::move(bytes), key, id);
        });
    if (report) report->to_reseal += with_text;
    return report;
  }

  Result<void> sync() override { return table_->sync(); }
  Result<void> settle() override { return table_->settle(); }
  Result<void> recover() override { return table_->recover(); }
  Result<void> replace() override { return table_->replace(); }
  Result<void> checkpoint(const std::string& folder) override { return table_->checkpoint(folder); }
  Result<void> purge(std::span<const base::Hash128> keys) override { return table_->purge(keys); }
  Result<void> finish_reseal(const base::Hash128& key) override { return table_->finish_reseal(key); }
  std::vector<base::Hash128> seal_keys() const override { return table_->seal_keys(); }
  void clear_quarantine() override { table_->clear_quarantine(); }
  TableStats stats() const override { return table_->stats(); }

 private:
  Result<EntryBytes> without_prompt(std::string_view bytes) const {
    const EntryView view = EntryView::trusted(bytes);
    const std::string canonical = hash_(view.text(EntryText::kCanonical));
    std::vector<std::string> tags;
    for (const std::string_view tag : view.list(EntryText::kTags)) tags.emplace_back(tag);
    EntryFields fields;
    fields.id = view.text(EntryText::kId);
    fields.tenant = view.text(EntryText::kTenant);
    fields.name_space = view.text(EntryText::kNamespace);
    fields.model = view.text(EntryText::kModel);
    fields.user = view.text(EntryText::kUser);
    fields.dialect = view.text(EntryText::kDialect);
    fields.canonical = canonical;
    fields.text = view.text(EntryText::kText);
    fields.response_json = view.text(EntryText::kResponseJson);
    fields.completion = view.text(EntryText::kCompletion);
    fields.subject = view.text(EntryText::kSubject);
    fields.principal = view.text(EntryText::kPrincipal);
    fields.model_epoch = view.text(EntryText::kModelEpoch);
    fields.policy_epoch = view.text(EntryText::kPolicyEpoch);
    fields.tags = tags;
    fields.created_ms = view.created_ms();
    fields.expires_ms = view.expires_ms();
    fields.tokens_prompt = view.tokens_prompt();
    fields.tokens_completion = view.tokens_completion();
    fields.latency_ms = view.latency_ms();
    fields.exact_key = view.exact_key();
    fields.partition = view.partition();
    return encode_entry(fields);
  }

  const std::unique_ptr<EntryTable> table_;
  const HashPrompt hash_;
  const IsHashed is_hashed_;
};

}  // namespace

std::unique_ptr<EntryTable> with_hashed_prompts(std::unique_ptr<EntryTable> table, HashPrompt hash,
                                                IsHashed is_hashed) {
  return std::make_unique<HashedPrompts>(std::move(table), std::move(hash), std::move(is_hashed));
}

}  // namespace enhanced_gptcache::store
