#pragma once
// A folder of one test, gone with it.

#include <filesystem>
#include <string>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::fakes {

struct TestFolder {
  TestFolder() : path(std::filesystem::temp_directory_path() / ("egptc-test-" + base::random_hex(8))) {
    std::filesystem::create_directories(path);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  const std::filesystem::path path;
};

}  // namespace enhanced_gptcache::fakes
