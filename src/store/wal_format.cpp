#include "store/wal_format.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "store/little_endian.h"

namespace enhanced_gptcache::store {
namespace {

constexpr size_t kBlockBytes = size_t{32} << 10U;
constexpr size_t kHeadBytes = 7;
enum FragmentType : uint8_t { kNone = 0, kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = value;
  }
  return table;
}

/// As it stands in a head: over type and content, rotated and shifted so that checksums of checksums differ.
uint32_t masked_crc(char type, std::string_view content) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  uint32_t crc = ~0U;
  const auto add = [&crc](char c) {
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (crc >> 8U);
  };
  add(type);
  for (const char c : content) add(c);
  crc = ~crc;
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

size_t left_in_block(size_t at) { return kBlockBytes - at % kBlockBytes; }

/// A fragment as its head describes it.
struct Fragment {
  uint8_t type = kNone;
  std::string_view content;
  bool fits = false;  ///< into its block and the log
  bool is_intact = false;
  size_t end = 0;
};

Fragment fragment_at(std::string_view log, size_t at) {
  Fragment found;
  if (at + kHeadBytes > log.size() || left_in_block(at) < kHeadBytes) return found;
  const auto length = get<uint16_t>(log.data() + at + 4);
  found.type = static_cast<uint8_t>(log[at + 6]);
  found.end = at + kHeadBytes + length;
  found.fits = kHeadBytes + length <= left_in_block(at) && found.end <= log.size();
  if (!found.fits) return found;
  found.content = log.substr(at + kHeadBytes, length);
  found.is_intact = found.type >= kFull && found.type <= kLast &&
                    get<uint32_t>(log.data() + at) == masked_crc(log[at + 6], found.content);
  return found;
}

/// Where the next fragment starts after one that ends at `at`.
size_t past_padding(size_t at) { return left_in_block(at) < kHeadBytes ? at + left_in_block(at) : at; }

/// Whether something that can be read, or the end, is where this fragment says that it ends.
bool is_length_right(std::string_view log, const Fragment& fragment) {
  if (!fragment.fits) return false;
  const size_t next = past_padding(fragment.end);
  return next >= log.size() || fragment_at(log, next).is_intact;
}

/// The first intact fragment after `at`, or the end. Each block starts with one.
size_t next_intact(std::string_view log, size_t at) {
  for (++at; at < log.size(); at += at % kBlockBytes == 0 ? kBlockBytes : 1)
    if (fragment_at(log, at).is_intact) return at;
  return log.size();
}

template <typename T>
void append(std::string& out, T value) {
  out.resize(out.size() + sizeof value);
  put(out.data() + out.size() - sizeof value, value);
}

/// What a damaged fragment must have been, when its type does not fit to where it stands.
uint8_t likely_type(uint8_t type, bool is_inside, size_t end) {
  const bool fits = is_inside ? type == kMiddle || type == kLast : type == kFull || type == kFirst;
  if (fits) return type;
  const bool goes_on = end % kBlockBytes == 0;
  if (is_inside) return goes_on ? kMiddle : kLast;
  return goes_on ? kFirst : kFull;
}

class Assembler {
 public:
  void add(uint8_t type, std::string_view content, bool is_intact) {
    if (type == kFull || type == kFirst) finish(true);
    // A record without its beginning.
    if (!is_open_ && (type == kMiddle || type == kLast)) record_.is_damaged = true;
    is_open_ = true;
    record_.payload += content;
    record_.is_damaged = record_.is_damaged || !is_intact;
    if (type == kFull || type == kLast) finish(false);
  }
  bool is_open() const { return is_open_; }
  void finish(bool is_cut) {
    if (!is_open_) return;
    record_.is_damaged = record_.is_damaged || is_cut;
    records_.push_back(std::move(record_));
    record_ = {};
    is_open_ = false;
  }
  /// What there is of a record that has no end.
  std::string take_open() { return std::exchange(record_, {}).payload; }
  std::vector<WalRecord> take() { return std::move(records_); }

 private:
  std::vector<WalRecord> records_;
  WalRecord record_;
  bool is_open_ = false;
};

}  // namespace

WalContent read_wal(std::string_view bytes) {
  WalContent content;
  Assembler records;
  size_t at = 0;
  while ((at = past_padding(at)) < bytes.size()) {
    const Fragment fragment = fragment_at(bytes, at);
    if (fragment.is_intact) {
      records.add(fragment.type, fragment.content, true);
      at = fragment.end;
      continue;
    }
    const bool is_sized = is_length_right(bytes, fragment);
    const size_t end = is_sized ? fragment.end : next_intact(bytes, at);
    const size_t from = std::min(at + kHeadBytes, end);
    if (end == bytes.size() && !is_sized) {
      content.torn = records.take_open();
      content.torn += bytes.substr(from);
      break;
    }
    records.add(likely_type(fragment.type, records.is_open(), end), bytes.substr(from, end - from), false);
    at = end;
  }
  if (content.torn.empty()) content.torn = records.take_open();
  content.records = records.take();
  return content;
}

std::string write_wal(const std::vector<WalRecord>& records) {
  std::string log;
  for (const WalRecord& record : records) {
    std::string_view rest = record.payload;
    bool is_first = true;
    do {
      if (left_in_block(log.size()) < kHeadBytes) log.append(left_in_block(log.size()), '\0');
      const size_t length = std::min(rest.size(), left_in_block(log.size()) - kHeadBytes);
      const bool is_last = length == rest.size();
      const char type = is_first ? (is_last ? kFull : kFirst) : (is_last ? kLast : kMiddle);
      const std::string_view content = rest.substr(0, length);
      append(log, masked_crc(type, content));
      append(log, static_cast<uint16_t>(length));
      log += type;
      log += content;
      rest.remove_prefix(length);
      is_first = false;
    } while (!rest.empty());
  }
  return log;
}

}  // namespace enhanced_gptcache::store
