// The keystore as it lies on disk. The seals are put right three times out of four, so that what lies behind
// them is reached; then keys are made, rotated and destroyed on top of whatever was read.

#include <cstring>

#include "input.h"
#include "memory_file.h"
#include "vault/subject_keys.h"

using namespace enhanced_gptcache;

namespace {

constexpr size_t kSlotBytes = 256, kSlotsMax = 32, kWrappedAt = 64;  // docs/formats.md

std::shared_ptr<const vault::KeyRing> ring_of(unsigned char first, unsigned char second) {
  std::vector<vault::MasterKey> keys;
  for (const unsigned char byte : {first, second}) {
    base::SecretKey key{};
    key.fill(byte);
    keys.push_back({vault::key_id_of(key), std::make_shared<const vault::Cipher>(key)});
  }
  return std::make_shared<const vault::KeyRing>(std::move(keys));
}

/// Every slot of `content` with a key that opens there; sealed by the second master key where byte 200 is
/// odd.
std::string put_right(std::string content, const vault::KeyRing& ring) {
  content.resize(std::min(content.size(), kSlotBytes * kSlotsMax));
  for (size_t at = 0; at + kSlotBytes <= content.size(); at += kSlotBytes) {
    std::memcpy(content.data() + at, at == 0 ? "EGPTKEYS\1" : "EGPK\1", at == 0 ? 9 : 5);
    const std::string place = "subject key " + content.substr(at, kWrappedAt);
    const vault::MasterKey& master = ring.keys()[content[at + 200] & 1];
    const std::string sealed = vault::seal_bytes({vault::KeyKind::kMaster, master.id}, *master.cipher, place,
                                                 content.substr(at + 208, sizeof(base::SecretKey)));
    std::memcpy(content.data() + at + kWrappedAt, sealed.data(), sealed.size());
  }
  return content;
}

void use(const std::string& path, const std::shared_ptr<const vault::KeyRing>& ring) {
  auto opened = vault::SubjectKeys::open(path, ring);
  if (!opened) {
    fuzz::must(!opened.error().message.empty(), "a refusal says why");
    return;
  }
  vault::SubjectKeys& keys = **opened;
  const size_t before = keys.count();
  const size_t damaged = keys.damaged();
  const vault::SubjectRef ref{{1, 2}, {3, 4}, {5, 6}};
  const auto made = keys.key_for(ref);
  if (!made) return;  // the tenant of the input has all the keys it may have
  fuzz::must(keys.find(made->id) != nullptr, "a key that was made is there");
  fuzz::must(keys.rewrap(ring_of(2, 1)).has_value(), "keys of known master keys can be sealed anew");

  const auto rotated = vault::SubjectKeys::open(path, ring_of(2, 2));
  fuzz::must(rotated.has_value(), "the old master key is not needed any more");
  fuzz::must((*rotated)->find(made->id) != nullptr, "a key survives a restart and a rotation");
  fuzz::must((*rotated)->count() >= before && (*rotated)->damaged() <= damaged, "nothing was lost");
  fuzz::must((*rotated)->destroy(ref.subject, std::nullopt).has_value(), "a subject can be erased");
  fuzz::must((*rotated)->find(made->id) == nullptr, "a destroyed key opens nothing");

  const auto last = vault::SubjectKeys::open(path, ring_of(2, 2));
  fuzz::must(last.has_value() && (*last)->find(made->id) == nullptr, "it stays destroyed");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  fuzz::silence_log();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const bool is_mended = input.choice(4) != 0;
  const auto ring = ring_of(1, 2);
  std::string content(input.rest());
  const fuzz::MemoryFile file(is_mended ? put_right(std::move(content), *ring) : std::move(content));
  use(file.path(), ring);
  return 0;
}
