#include "security/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/small_file.h"
#include "fakes/process_limits.h"

namespace enhanced_gptcache::security {
namespace {

namespace fs = std::filesystem;

AuditEvent event(const std::string& name, const std::string& detail = {}, bool is_refusal = false) {
  AuditEvent out;
  out.event = name;
  out.actor = "key:1";
  out.detail = detail;
  out.is_refusal = is_refusal;
  return out;
}

class AuditTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "auditXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::unique_ptr<AuditLog> open(const AuditOptions& options = {}) {
    auto log = AuditLog::open(folder_, key_, options);
    EXPECT_TRUE(log) << (log ? "" : log.error().message);
    return std::move(*log);
  }
  void write(size_t count, const AuditOptions& options = {}) {
    const auto log = open(options);
    for (size_t i = 0; i < count; ++i) log->append(event("test", "number " + std::to_string(i)));
    EXPECT_TRUE(log->flush(10'000));
  }
  std::vector<std::string> problems() {
    const auto report = verify_audit(folder_, key_);
    EXPECT_TRUE(report);
    return report ? report->problems : std::vector<std::string>{"unreadable"};
  }
  /// Until an attempt to write has failed; the limit only ends a test that would fail.
  static bool has_failed(const AuditLog& log) {
    for (int i = 0; i < 5000 && log.stats().failures == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return log.stats().failures > 0;
  }
  std::string path() const { return folder_ + "/audit/audit.jsonl"; }
  std::vector<std::string> lines() const {
    std::ifstream in(path());
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  void put(const std::vector<std::string>& all) {
    std::ofstream out(path());
    for (const std::string& line : all) out << line << "\n";
  }

  std::string folder_;
  base::SecretKey key_ = base::random_key();
};

TEST_F(AuditTest, AChainThatNobodyTouchedHolds) {
  EXPECT_EQ(verify_audit(folder_, key_).error().code, ErrorCode::kNotFound);
  write(10);
  write(5);
  const auto report = verify_audit(folder_, key_);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->problems, testing::IsEmpty());
  EXPECT_EQ(report->lines, 15U);
  EXPECT_EQ(report->last_seq, 15U);
  EXPECT_EQ(open()->tail(3).size(), 3U);
}

TEST_F(AuditTest, EveryChangeOfEveryByteIsFound) {
  write(4);
  const auto text = *base::read_small_file(path(), 1U << 20U);
  size_t missed = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = other[i] == 'x' ? 'y' : 'x';
    std::ofstream(path()) << other;
    missed += problems().empty();
  }
  EXPECT_EQ(missed, 0U);
  for (size_t size = 0; size < text.size(); ++size) {
    std::ofstream(path()) << text.substr(0, size);
    missed += problems().empty();
  }
  EXPECT_EQ(missed, 0U) << "truncation";
  std::ofstream(path()) << text;
  EXPECT_THAT(problems(), testing::IsEmpty());
}

TEST_F(AuditTest, RemovedReorderedAndRepeatedLinesAreFound) {
  write(6);
  const std::vector<std::string> all = lines();
  for (size_t i = 0; i < all.size(); ++i) {
    auto less = all;
    less.erase(less.begin() + static_cast<std::ptrdiff_t>(i));
    put(less);
    EXPECT_FALSE(problems().empty()) << "without line " << i;
    auto twice = all;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
    put(twice);
    EXPECT_FALSE(problems().empty()) << "twice line " << i;
    if (i == 0) continue;
    auto swapped = all;
    std::swap(swapped[i], swapped[i - 1]);
    put(swapped);
    EXPECT_FALSE(problems().empty()) << "swapped " << i;
  }
  fs::remove(path());
  EXPECT_FALSE(problems().empty()) << "without the file";
}

TEST_F(AuditTest, AChainMadeAnewDoesNotPass) {
  write(3);
  // Somebody who knows the format but not the instance key.
  std::string prev = audit_root();
  std::vector<std::string> forged;
  for (uint64_t seq = 1; seq <= 3; ++seq) {
    std::string hash;
    forged.push_back(audit_line(event("test", "harmless"), seq, 0, prev, hash));
    prev = hash;
  }
  put(forged);
  EXPECT_FALSE(problems().empty());
  AuditHead head{3, prev, 1, audit_root()};
  std::ofstream(folder_ + "/audit/head.json") << audit_head_text(head, base::random_key());
  EXPECT_FALSE(problems().empty());
  fs::remove(folder_ + "/audit/head.json");
  EXPECT_FALSE(problems().empty());
}

TEST_F(AuditTest, ACrashLeavesAChainThatGoesOn) {
  write(3);
  std::ofstream(path(), std::ios::app) << R"({"seq":4,"time":"20)";
  EXPECT_THAT(problems(), testing::IsEmpty()) << "the head was not moved yet";
  write(2);
  EXPECT_THAT(problems(), testing::IsEmpty());
  EXPECT_THAT(lines()[3], testing::HasSubstr("audit.repaired"));
  EXPECT_EQ(lines().size(), 6U);
  // The file was synced, the head was not.
  const auto head = *base::read_small_file(folder_ + "/audit/head.json", 4096);
  write(2);
  ASSERT_TRUE(base::replace_file(folder_ + "/audit/head.json", head));
  EXPECT_THAT(problems(), testing::IsEmpty());
  write(1);
  EXPECT_THAT(problems(), testing::IsEmpty());
  EXPECT_EQ(lines().size(), 9U);
}

TEST_F(AuditTest, DamageIsSaidAndStaysVisible) {
  write(3);
  auto all = lines();
  all.pop_back();
  put(all);
  write(1);
  EXPECT_FALSE(problems().empty()) << "going on heals nothing";
  EXPECT_THAT(problems().front(), testing::HasSubstr("removed"));
}

TEST_F(AuditTest, ADamagedHeadIsSaidAndStaysVisible) {
  for (const char* head : {"{}", "", "not JSON"}) {
    write(3);
    std::ofstream(folder_ + "/audit/head.json") << head;
    write(1);
    EXPECT_THAT(lines(), testing::Contains(testing::HasSubstr("audit.damaged"))) << head;
    EXPECT_FALSE(problems().empty()) << "nobody knows any more whether it is all there";
    fs::remove_all(folder_ + "/audit");
  }
}

TEST_F(AuditTest, LinesThatAreNoneAreCounted) {
  write(4);
  auto all = lines();
  all[1] = R"({"seq":)";
  all[2] = "nonsense";
  put(all);
  write(1);
  EXPECT_THAT(lines(), testing::Contains(testing::AllOf(testing::HasSubstr("audit.damaged"),
                                                        testing::HasSubstr("2 lines"))));
  EXPECT_FALSE(problems().empty());
}

TEST_F(AuditTest, WhatCannotBeOpenedIsNamed) {
  const auto nowhere = AuditLog::open(folder_ + "/absent", key_, {});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kIo);
  EXPECT_THAT(nowhere.error().message, testing::HasSubstr(folder_ + "/absent/audit"));
  fs::create_directories(path());
  const auto folder = AuditLog::open(folder_, key_, {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, ErrorCode::kIo);
  EXPECT_THAT(folder.error().message, testing::HasSubstr(path()));
}

TEST_F(AuditTest, AFullDiskDelaysEventsAndLosesNone) {
  const auto log = open();
  log->append(event("before"));
  ASSERT_TRUE(log->flush(10'000));
  const auto size = fs::file_size(path());
  {
    const fakes::FileSizeLimit limit(size + 20);
    log->append(event("during"));
    ASSERT_TRUE(has_failed(*log));
    EXPECT_FALSE(log->flush(1)) << "it is not on disk";
    EXPECT_EQ(fs::file_size(path()), size) << "the part that fitted was taken back";
    log->append(event("after"));
  }
  EXPECT_TRUE(log->flush(10'000));
  EXPECT_THAT(lines(), testing::ElementsAre(testing::HasSubstr("before"), testing::HasSubstr("during"),
                                            testing::HasSubstr("after")));
  EXPECT_EQ(log->stats().written, 3U);
  EXPECT_THAT(problems(), testing::IsEmpty());
}

TEST_F(AuditTest, StoppingOnAFullDiskEndsAndSpoilsNothing) {
  write(2);
  {
    auto log = open();
    const fakes::FileSizeLimit limit(fs::file_size(path()) + 20);
    log->append(event("never"));
    ASSERT_TRUE(has_failed(*log));
    log.reset();
  }
  EXPECT_EQ(lines().size(), 2U);
  EXPECT_THAT(problems(), testing::IsEmpty());
  write(1);
  EXPECT_THAT(problems(), testing::IsEmpty());
}

TEST_F(AuditTest, RotationGoesOnOnceDescriptorsAreFree) {
  AuditOptions options;
  options.file_bytes_max = 1;  // a file for each line
  const auto log = open(options);
  log->append(event("first"));
  ASSERT_TRUE(log->flush(10'000));
  {
    const fakes::DescriptorLimit limit(3);
    log->append(event("second"));
    ASSERT_TRUE(has_failed(*log));
  }
  ASSERT_TRUE(log->flush(10'000)) << "an attempt that got half way must not stop all later ones";
  EXPECT_THAT(lines(), testing::ElementsAre(testing::HasSubstr("second")));
  EXPECT_EQ(audit_files(folder_ + "/audit").size(), 2U);
  EXPECT_THAT(problems(), testing::IsEmpty());
}

TEST_F(AuditTest, FilesAreRotatedAndTheOldestGo) {
  AuditOptions options;
  options.file_bytes_max = 2000;
  options.files_max = 3;
  for (int round = 0; round < 12; ++round) write(8, options);
  EXPECT_EQ(audit_files(folder_ + "/audit").size(), 4U);
  const auto report = verify_audit(folder_, key_);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->problems, testing::IsEmpty());
  EXPECT_EQ(report->last_seq, 96U);
  EXPECT_GT(report->first_seq, 1U);
  fs::remove(audit_files(folder_ + "/audit").front());
  EXPECT_FALSE(problems().empty()) << "a file that rotation did not take";
}

TEST_F(AuditTest, AFloodOfRefusalsIsCounted) {
  AuditOptions options;
  options.refusals_per_second = 1;
  const auto log = open(options);
  for (int i = 0; i < 1000; ++i) log->append(event("access.refused", "", true));
  log->append(event("admin"));
  EXPECT_TRUE(log->flush(10'000));
  EXPECT_GE(log->stats().suppressed, 990U);
  EXPECT_LE(lines().size(), 12U);
  EXPECT_THAT(lines(), testing::Contains(testing::HasSubstr("audit.suppressed")));
  EXPECT_THAT(problems(), testing::IsEmpty());
}

TEST_F(AuditTest, TextCannotForgeALine) {
  const auto log = open();
  log->append(event("test", "a\"}\n{\"seq\":2,\"hash\":\"\xff"));
  EXPECT_TRUE(log->flush(10'000));
  EXPECT_EQ(lines().size(), 1U);
  EXPECT_THAT(problems(), testing::IsEmpty());
}

}  // namespace
}  // namespace enhanced_gptcache::security
