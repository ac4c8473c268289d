// The graph of a large partition as it lies on disk. The checksums are put right three times out of four, so
// that the rows behind them are reached.

#include <cstring>
#include <vector>

#include "base/keyed_hash.h"
#include "cache/graph_file.h"
#include "input.h"
#include "memory_file.h"

using namespace enhanced_gptcache;

namespace {

constexpr base::SecretKey kKey{};
// docs/formats.md, "Graph snapshot".
constexpr size_t kHeadSumAt = 48, kHeadBytes = 64, kBlockHeadBytes = 8, kSumBytes = 16;

void put_sum(char* out, const base::Hash128& sum) {
  std::memcpy(out, &sum.high, 8);
  std::memcpy(out + 8, &sum.low, 8);
}

/// The sum of the head, and of each block that is there as a whole.
std::string put_right(std::string bytes) {
  if (bytes.size() < kHeadBytes) return bytes;
  const std::string_view head = std::string_view(bytes).substr(0, kHeadBytes);
  put_sum(bytes.data() + kHeadSumAt,
          base::keyed_hash(kKey, "graph snapshot head", {head.substr(0, kHeadSumAt)}));
  size_t at = kHeadBytes;
  for (uint64_t number = 0; bytes.size() - at >= kBlockHeadBytes + kSumBytes; ++number) {
    uint32_t size = 0;
    std::memcpy(&size, bytes.data() + at + 4, sizeof size);
    if (size > bytes.size() - at - kBlockHeadBytes - kSumBytes) break;
    const std::string_view place(reinterpret_cast<const char*>(&number), sizeof number);
    const std::string_view block = std::string_view(bytes).substr(at, kBlockHeadBytes + size);
    put_sum(bytes.data() + at + block.size(),
            base::keyed_hash(kKey, "graph snapshot block",
                             {head, place, block.substr(0, kBlockHeadBytes), block.substr(kBlockHeadBytes)}));
    at += block.size() + kSumBytes;
  }
  return bytes;
}

/// The rows of a whole file; false when it is refused, with a reason.
bool read(cache::GraphFileReader& reader, std::vector<cache::GraphFileRow>& all) {
  std::vector<cache::GraphFileRow> rows;
  do {
    if (const auto done = reader.next(rows); !done) {
      fuzz::must(!done.error().message.empty(), "a refusal says why");
      return false;
    }
    fuzz::must(rows.size() <= cache::kGraphBlockRows, "a block holds what it may");
    all.insert(all.end(), rows.begin(), rows.end());
  } while (!rows.empty());
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const bool is_mended = input.choice(4) != 0;
  const std::string content(input.rest());
  const fuzz::MemoryFile file(is_mended ? put_right(content) : content);
  auto reader = cache::GraphFileReader::open(file.path(), kKey);
  if (!reader) {
    fuzz::must(!reader.error().message.empty(), "a refusal says why");
    return 0;
  }
  std::vector<cache::GraphFileRow> first, second;
  const bool is_whole = read(*reader, first);
  fuzz::must(first.size() * (sizeof(base::Hash128) + 1) <= content.size(), "rows come from bytes");
  fuzz::must(reader->rewind().has_value(), "a file can be read again");
  fuzz::must(read(*reader, second) == is_whole && first.size() == second.size(), "and is the same");
  for (size_t i = 0; i < first.size(); ++i)
    fuzz::must(first[i].id == second[i].id && first[i].links == second[i].links, "row by row");
  return 0;
}
