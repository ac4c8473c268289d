#pragma once
// Bytes of saved state (taus, PCA models): little-endian fields behind a magic word and a version,
// closed by a checksum, so that a cut or altered file is told from a good one. Formats: docs/formats.md.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::match {

/// Thread rule: one owner. Builds one document.
class StateWriter {
 public:
  /// `magic` has eight characters.
  StateWriter(std::string_view magic, uint32_t version);

  template <typename T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  void put_string(std::string_view text);
  void put_raw(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }
  /// Adds the checksum; the writer is spent.
  std::string finish() &&;

 private:
  std::string bytes_;
};

/// Thread rule: one owner; reads from bytes that outlive it. Every get checks what is left.
class StateReader {
 public:
  /// kCorrupt: too short, another magic word or a wrong checksum. kUnsupported: a version above
  /// `version_max`.
  static Result<StateReader> open(std::string_view bytes, std::string_view magic, uint32_t version_max);

  uint32_t version() const { return version_; }
  size_t left() const { return bytes_.size(); }
  template <typename T>
  bool get(T& value) {
    static_assert(std::is_arithmetic_v<T>);
    return get_raw(&value, sizeof(T));
  }
  bool get_string(std::string& text);
  bool get_raw(void* data, size_t size);

 private:
  std::string_view bytes_;
  uint32_t version_ = 0;
};

}  // namespace enhanced_gptcache::match
