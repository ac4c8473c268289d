// Entries as they lie on disk. The checksum is put right, so that the fields behind it are reached.

#include <cstring>

#include "base/keyed_hash.h"
#include "input.h"
#include "store/entry_codec.h"

using namespace enhanced_gptcache;

namespace {

constexpr size_t kTotalAt = 8, kChecksumAt = 16, kFrameBytes = 32;  // docs/formats.md

void put_right(std::string& bytes) {
  if (bytes.size() < kFrameBytes) return;
  static constexpr base::SecretKey kPublicKey{};
  const auto total = static_cast<uint32_t>(bytes.size());
  std::memcpy(bytes.data() + kTotalAt, &total, sizeof total);
  const std::string_view view(bytes);
  const base::Hash128 sum =
      base::keyed_hash(kPublicKey, "entry-bytes", {view.substr(0, kChecksumAt), view.substr(kFrameBytes)});
  std::memcpy(bytes.data() + kChecksumAt, &sum.high, 8);
  std::memcpy(bytes.data() + kChecksumAt + 8, &sum.low, 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const bool is_mended = input.choice(4) != 0;
  std::string bytes(input.rest());
  if (is_mended) put_right(bytes);
  const auto view = store::EntryView::parse(bytes);
  if (!view) {
    fuzz::must(!view.error().message.empty(), "a damaged entry is named");
    return 0;
  }
  // Verified once, every field reads inside the bytes.
  size_t total = 0;
  for (size_t i = 0; i < store::kEntryTexts; ++i) {
    const auto field = static_cast<store::EntryText>(i);
    total += view->text(field).size();
    if (field == store::EntryText::kTags || field == store::EntryText::kContextAnchors)
      for (const std::string_view item : view->list(field)) total += item.size();
    if (field == store::EntryText::kContextVector || field == store::EntryText::kEmbedding) {
      const auto vector = view->vector(field);
      (void)store::unit_vector(vector);
    }
  }
  fuzz::must(total <= 2 * bytes.size(), "fields do not overlap");
  (void)view->context();
  (void)view->expires_ms();
  (void)view->exact_key();
  return 0;
}
