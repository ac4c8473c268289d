#pragma once
// Small files for the tests of this folder, plain and gzipped.

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace enhanced_gptcache::eval {

/// A folder that goes with the test.
class TestFiles {
 public:
  TestFiles() {
    folder_ = std::filesystem::temp_directory_path() / ("egptc-eval-XXXXXX");
    std::string name = folder_.string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~TestFiles() {
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
  }
  TestFiles(const TestFiles&) = delete;
  TestFiles& operator=(const TestFiles&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string write_gzip(const std::string& name, std::string_view text) const {
    const gzFile file = gzopen(path(name).c_str(), "wb");
    EXPECT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
    gzclose(file);
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace enhanced_gptcache::eval
