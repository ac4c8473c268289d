#pragma once
// For the unit tests of this folder: model folders made up on the spot, and damage done to them.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include "base/checksum_file.h"
#include "base/sha256.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::embed {

/// A temporary folder, deleted with its contents.
class TempFolder final {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "egptc-embed-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) == nullptr ? std::string() : pattern;
    EXPECT_FALSE(path_.empty());
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  /// Writes (or replaces) a file; `name` may hold folders.
  std::string write(const std::string& name, std::string_view contents) const {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary)
        .write(contents.data(), static_cast<std::streamsize>(contents.size()));
    return file.string();
  }
  /// The same, and SHA256SUMS beside it that lists this one file.
  std::string write_listed(const std::string& name, std::string_view contents) const {
    write(std::string(base::kChecksumFile), base::to_hex(base::sha256(contents)) + "  " + name + "\n");
    return write(name, contents);
  }
  void remove(const std::string& name) const { std::filesystem::remove(std::filesystem::path(path_) / name); }

 private:
  std::string path_;
};

inline std::string file_contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The folder of the real model where it is installed, else empty: tests skip then.
inline std::string real_model_dir() {
  const std::string dir = std::string(EGPTC_SOURCE_DIR) + "/models/all-MiniLM-L6-v2";
  return std::filesystem::exists(dir + "/model.safetensors") ? dir : std::string();
}

/// Calls `check` with `contents` cut at every length (at most 2,000 of them) and with single bits flipped.
inline void for_each_damage(const std::string& contents,
                            const std::function<void(const std::string&)>& check) {
  const size_t step = contents.size() / 1000 + 1;
  for (size_t length = 0; length < contents.size(); length += step) check(contents.substr(0, length));
  for (size_t i = 0; i < contents.size(); i += step) {
    std::string flipped = contents;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    check(flipped);
  }
}

/// A failure of this code whose message holds `part`.
template <typename T>
void expect_error(const Result<T>& result, ErrorCode code, std::string_view part) {
  ASSERT_FALSE(result.has_value()) << "no error about " << part;
  EXPECT_EQ(static_cast<int>(result.error().code), static_cast<int>(code)) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

}  // namespace enhanced_gptcache::embed
