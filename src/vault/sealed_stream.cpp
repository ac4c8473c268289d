#include "vault/sealed_stream.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <cstring>

#include "base/check.h"
#include "vault/sealed.h"

namespace enhanced_gptcache::vault {
namespace {

// Head: magic, version, seven zeros, key id, the first bytes of every nonce, zeros. docs/formats.md.
constexpr std::string_view kMagic = "EGPTSTRM";
constexpr char kVersion = 1;
constexpr size_t kVersionAt = 8;
constexpr size_t kKeyAt = 9;
constexpr size_t kPrefixAt = 25;
constexpr size_t kPrefixBytes = 19;
static_assert(kPrefixAt + kPrefixBytes <= kStreamHeadBytes);
static_assert(kPrefixBytes + sizeof(uint32_t) + 1 == kNonceBytes);
constexpr uint64_t kPiecesMax = uint64_t{1} << 32U;
constexpr size_t kSealedPieceBytes = kStreamPieceBytes + kTagBytes;

/// The prefix of the stream, the number of the piece (most significant byte first), 1 for the last one.
Nonce nonce_of(std::string_view head, uint64_t number, bool is_last) {
  Nonce nonce{};
  std::memcpy(nonce.data(), head.data() + kPrefixAt, kPrefixBytes);
  const uint32_t swapped = __builtin_bswap32(static_cast<uint32_t>(number));
  std::memcpy(nonce.data() + kPrefixBytes, &swapped, sizeof swapped);
  nonce.back() = is_last ? 1 : 0;
  return nonce;
}

}  // namespace

bool looks_sealed_stream(std::string_view bytes) { return bytes.substr(0, kMagic.size()) == kMagic; }

StreamSealer::StreamSealer(const MasterKey& key, std::string purpose)
    : cipher_(key.cipher), head_(kStreamHeadBytes, '\0') {
  std::memcpy(head_.data(), kMagic.data(), kMagic.size());
  head_[kVersionAt] = kVersion;
  std::memcpy(head_.data() + kKeyAt, hash_bytes(key.id).data(), sizeof(KeyId));
  auto* prefix = reinterpret_cast<unsigned char*>(head_.data() + kPrefixAt);
  EGPTC_CHECK(RAND_bytes(prefix, static_cast<int>(kPrefixBytes)) == 1);
  context_ = head_ + purpose;
}

void StreamSealer::seal_piece(std::string_view plain, bool is_last, std::string& out) {
  if (number_ == 0) out += head_;
  const size_t at = out.size();
  out.resize(at + plain.size() + kTagBytes);
  // Past the last number nothing is sealed, because its nonce would come again; finish() says so.
  if (number_ < kPiecesMax)
    cipher_->seal(nonce_of(head_, number_, is_last), context_, plain, out.data() + at);
  ++number_;
}

void StreamSealer::add(std::string_view plain, std::string& out) {
  waiting_ += plain;
  size_t done = 0;
  // One byte more than a piece is needed to know that the piece is not the last.
  for (; waiting_.size() - done > kStreamPieceBytes; done += kStreamPieceBytes)
    seal_piece(std::string_view(waiting_).substr(done, kStreamPieceBytes), false, out);
  waiting_.erase(0, done);
}

Result<void> StreamSealer::finish(std::string& out) {
  seal_piece(waiting_, true, out);
  waiting_.clear();
  if (number_ > kPiecesMax)
    return fail(ErrorCode::kInvalidArgument, fmt::format("more than {} pieces cannot be sealed", kPiecesMax));
  return {};
}

Result<void> StreamOpener::read_head() {
  head_ = waiting_.substr(0, kStreamHeadBytes);
  waiting_.erase(0, kStreamHeadBytes);
  if (!looks_sealed_stream(head_)) return fail(ErrorCode::kCorrupt, "is not encrypted as backups are");
  if (head_[kVersionAt] != kVersion)
    return fail(ErrorCode::kUnsupported,
                fmt::format("is encrypted in version {}: known is {}",
                            static_cast<unsigned char>(head_[kVersionAt]), +kVersion));
  const KeyId id = hash_from(std::string_view(head_).substr(kKeyAt, sizeof(KeyId)));
  const MasterKey* key = ring_ == nullptr ? nullptr : ring_->find(id);
  if (key == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("is sealed by the key {}, which is not among the given ones", id.hex()));
  cipher_ = key->cipher;
  context_ = head_ + purpose_;
  return {};
}

Result<void> StreamOpener::open_piece(std::string_view sealed, bool is_last, std::string& out) {
  const size_t at = out.size();
  if (sealed.size() >= kTagBytes && number_ < kPiecesMax) {
    out.resize(at + sealed.size() - kTagBytes);
    if (cipher_->open(nonce_of(head_, number_, is_last), context_, sealed, out.data() + at)) {
      ++number_;
      return {};
    }
    out.resize(at);
  }
  return fail(ErrorCode::kCorrupt,
              fmt::format("does not open from byte {} on: it was changed, cut off, or put "
                          "into another order",
                          kStreamHeadBytes + number_ * kSealedPieceBytes));
}

Result<void> StreamOpener::add(std::string_view sealed, std::string& out) {
  waiting_ += sealed;
  if (cipher_ == nullptr) {
    if (waiting_.size() < kStreamHeadBytes) return {};
    EGPTC_TRY_VOID(read_head());
  }
  size_t done = 0;
  for (; waiting_.size() - done > kSealedPieceBytes; done += kSealedPieceBytes)
    EGPTC_TRY_VOID(open_piece(std::string_view(waiting_).substr(done, kSealedPieceBytes), false, out));
  waiting_.erase(0, done);
  return {};
}

Result<void> StreamOpener::finish(std::string& out) {
  if (cipher_ == nullptr) return fail(ErrorCode::kCorrupt, "ends within its first bytes");
  return open_piece(waiting_, true, out);
}

}  // namespace enhanced_gptcache::vault
