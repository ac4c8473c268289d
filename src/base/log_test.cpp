#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log_event.h"

namespace enhanced_gptcache::base {
namespace {

/// The lines that were written to the log file of this test program since the last call.
std::vector<std::string> fresh_lines() {
  static const std::string path =
      testing::TempDir() + "egptc_log_test_" + std::to_string(::getpid()) + ".log";
  static const bool is_open = add_log_file(path);
  EXPECT_TRUE(is_open);
  static size_t seen = 0;
  std::ifstream file(path);
  std::vector<std::string> lines;
  size_t count = 0;
  for (std::string line; std::getline(file, line); ++count)
    if (count >= seen) lines.push_back(line);
  seen = count;
  return lines;
}

std::string event_of(std::string_view value) {
  log_event("access", {{"model", value}, {"key", "k"}});
  const auto lines = fresh_lines();
  EXPECT_EQ(lines.size(), 1U);
  return lines.empty() ? "" : lines[0].substr(lines[0].find("access"));
}

class LogTest : public testing::Test {
 protected:
  LogTest() { fresh_lines(); }
  ~LogTest() override { set_log_json(false); }
};

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder of a test; gone afterwards, so that nothing is made anew in it by later lines.
class LogFile : public testing::Test {
 protected:
  LogFile() { EXPECT_EQ(::mkdir(folder_.c_str(), 0755), 0) << folder_; }
  ~LogFile() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = testing::TempDir() + "egptc_log_file_" + std::to_string(::getpid());
  const std::string path_ = folder_ + "/log";
};

/// What logrotate does without copytruncate.
TEST_F(LogFile, IsOpenedAnewWhenItWasMovedOrRemoved) {
  const std::string moved = path_ + ".1";
  ASSERT_TRUE(add_log_file(path_));
  log_error("line one");
  ASSERT_EQ(::rename(path_.c_str(), moved.c_str()), 0);
  log_error("line two");
  EXPECT_NE(text_of(moved).find("line one"), std::string::npos);
  EXPECT_EQ(text_of(moved).find("line two"), std::string::npos);
  EXPECT_NE(text_of(path_).find("line two"), std::string::npos);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  log_error("line three");
  EXPECT_NE(text_of(path_).find("line three"), std::string::npos);
  struct stat made {};
  ASSERT_EQ(::stat(path_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777U, 0640U);
}

TEST_F(LogFile, GoesOnInTheOldFileWhileANewOneCannotBeMade) {
  const std::string moved = folder_ + ".moved";
  ASSERT_TRUE(add_log_file(path_));
  ASSERT_EQ(::rename(folder_.c_str(), moved.c_str()), 0);
  log_error("kept all the same");
  EXPECT_NE(text_of(moved + "/log").find("kept all the same"), std::string::npos);
  ASSERT_EQ(::mkdir(folder_.c_str(), 0755), 0);
  log_error("back again");
  EXPECT_NE(text_of(path_).find("back again"), std::string::npos);
  std::filesystem::remove_all(moved);
}

TEST_F(LogTest, AValueCannotPassForFields) {
  EXPECT_EQ(event_of("gpt-4o"), "access model=gpt-4o key=k");
  EXPECT_EQ(event_of("ft:gpt/4*"), "access model=ft:gpt/4* key=k");
  EXPECT_EQ(event_of(""), "access model=- key=k");
  EXPECT_EQ(event_of("-"), R"(access model="-" key=k)");
  EXPECT_EQ(event_of("m key=admin status=200"), R"(access model="m key=admin status=200" key=k)");
  EXPECT_EQ(event_of("a=b"), R"(access model="a=b" key=k)");
  EXPECT_EQ(event_of(R"(a" key="b)"), R"(access model="a\" key=\"b" key=k)");
  EXPECT_EQ(event_of(R"(a\)"), R"(access model="a\\" key=k)");
}

TEST_F(LogTest, AValueCannotPassForALine) {
  EXPECT_EQ(event_of("a\n2026 info access x=y"), R"(access model="a\n2026 info access x=y" key=k)");
  EXPECT_EQ(event_of("a\rb\tc"), R"(access model="a\rb\tc" key=k)");
  EXPECT_EQ(event_of("a\x1b[2Jb"), R"(access model="a\u001b[2Jb" key=k)");
  EXPECT_EQ(event_of("a\x7f"), R"(access model="a\u007f" key=k)");
  EXPECT_EQ(event_of("a\u2028b\u2029c\u0085d\u009be"),
            R"(access model="a\u2028b\u2029c\u0085d\u009be" key=k)");
  EXPECT_EQ(event_of("a\u202eb\u2066c\u200b"), R"(access model="a\u202eb\u2066c\u200b" key=k)");
  EXPECT_EQ(event_of("mod\u00e8le"), "access model=\"mod\u00e8le\" key=k");
  EXPECT_EQ(event_of("a\xff"), "access model=\"a\ufffd\" key=k");
}

TEST_F(LogTest, MessagesStayOneLine) {
  log_warning("the model {} is unknown", "a\nb\x7f");
  const auto lines = fresh_lines();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].ends_with(R"(the model a\nb\x7f is unknown)")) << lines[0];
}

TEST_F(LogTest, TruthValuesAndNumbersAreNoStringsInJson) {
  log_event("decision", {{"stream", true}, {"joined", false}, {"ms", 1.5, 2}, {"model", "true"}});
  EXPECT_TRUE(fresh_lines().at(0).ends_with("decision stream=true joined=false ms=1.50 model=true"));
  set_log_json(true);
  log_event("decision", {{"stream", true}, {"joined", false}, {"ms", 1.5, 2}, {"model", "a \"b\" c=d\n"}});
  const std::string line = fresh_lines().at(0);
  EXPECT_TRUE(
      line.ends_with(R"("event":"decision","stream":true,"joined":false,"ms":1.50,"model":"a \"b\" c=d\n"})"))
      << line;
}

}  // namespace
}  // namespace enhanced_gptcache::base
