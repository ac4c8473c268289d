#pragma once
// A folder of its own for one test, removed at the end.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace enhanced_gptcache::config {

class TestFolder {
 public:
  TestFolder() {
    std::string name = ::testing::TempDir() + "egptc_config_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Returns the path.
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name, std::ios::binary | std::ios::trunc) << text;
    return path_ + "/" + name;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

/// The four required sections, empty, and then `more`.
inline std::string minimal_file(const std::string& more = "") {
  return "cache:\ncontext:\npca:\nfederated:\n" + more;
}

}  // namespace enhanced_gptcache::config
