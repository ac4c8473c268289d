#pragma once
// What the tests of erasing share: a cache with an erasure ledger, and one with encryption on a real table.

#include <filesystem>

#include "cache/cache_fixture.h"
#include "fakes/fake_entry_table.h"

namespace enhanced_gptcache::cache {

namespace fs = std::filesystem;

class EraseTest : public CacheTest {
 protected:
  EraseTest() : folder_(fs::temp_directory_path() / ("egptc-erase-" + base::random_hex(8))) {
    fs::create_directories(folder_);
    secret_.fill('k');
    restart();
  }
  ~EraseTest() override {
    cache_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void restart() {
    cache_.reset();
    ledger_.reset();
    ledger_ = vault::ErasureLedger::open(folder_ / "ledger", secret_).value();
    Options options = options_of_tests();
    options.key_bytes = std::string(32, 'k');
    options.state_folder = folder_;
    options.storage.erasures = ledger_;
    cache_ =
        open_cache(options, embedder_, clock_, false, std::make_unique<fakes::FakeEntryTable>(disk_)).value();
  }
  std::string put_for(std::string_view subject, std::string_view query, std::string_view tenant = "local",
                      std::string_view name_space = "") {
    StoreRequest request;
    request.prompt = prompt(query);
    request.prompt.tenant = tenant;
    request.prompt.name_space = name_space;
    request.text = "Answer.";
    request.subject = subject;
    return put(request);
  }
  bool has(std::string_view query, std::string_view tenant = "local") {
    Prompt of = prompt(query);
    of.tenant = tenant;
    return look(of).entry != nullptr;
  }

  fs::path folder_;
  base::SecretKey secret_{};
  std::shared_ptr<vault::ErasureLedger> ledger_;
  std::shared_ptr<fakes::FakeDisk> disk_ = std::make_shared<fakes::FakeDisk>();
};

class SealedEraseTest : public EraseTest {
 protected:
  SealedEraseTest() { start(); }
  ~SealedEraseTest() override { cache_.reset(); }

  /// As after a stop.
  void start() {
    cache_.reset();
    ledger_.reset();
    ledger_ = vault::ErasureLedger::open(folder_ / "ledger", secret_).value();
    vault_ = vault::Vault::open({{master_keys_, "", ""}, true}).value();
    ASSERT_TRUE(vault_->open_keystore(folder_ / "keys"));
    Options options = options_of_tests();
    options.key_bytes = std::string(32, 'k');
    options.state_folder = folder_;
    options.storage.path = folder_ / "data";
    options.storage.erasures = ledger_;
    options.storage.vault = vault_;
    cache_ = open_cache(options, embedder_, clock_, false).value();
  }
  vault::Erasure noted(std::string_view subject) {
    vault::Erasure wanted;
    wanted.time_ms = clock_.wall_ms();
    wanted.subject = vault::subject_hash(secret_, "local", subject);
    return ledger_->begin(wanted).value();
  }
  ErasedSubject erase(std::string_view of) { return cache_->erase("local", of, std::nullopt).value(); }

  std::string master_keys_ = std::string(64, '1');
  std::shared_ptr<vault::Vault> vault_;
};

}  // namespace enhanced_gptcache::cache
