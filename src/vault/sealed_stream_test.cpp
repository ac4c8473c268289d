#include "vault/sealed_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace enhanced_gptcache::vault {
namespace {

constexpr size_t kSealedPieceBytes = kStreamPieceBytes + kTagBytes;

std::shared_ptr<const KeyRing> ring_of(const std::string& digits) {
  std::string text;
  for (const char digit : digits) text += std::string(64, digit) + "\n";
  return *parse_keys(text, "test");
}

std::string seal(const std::string& plain, const KeyRing& ring, size_t step,
                 const std::string& purpose = "p") {
  StreamSealer sealer(ring.current(), purpose);
  std::string out;
  for (size_t at = 0; at < plain.size(); at += step)
    sealer.add(std::string_view(plain).substr(at, step), out);
  EXPECT_TRUE(sealer.finish(out));
  return out;
}

/// What opens, or the error; whatever was given out before an error is the beginning of `plain`.
Result<std::string> open(const std::string& sealed, const std::shared_ptr<const KeyRing>& ring, size_t step,
                         const std::string& plain = {}, const std::string& purpose = "p") {
  StreamOpener opener(ring, purpose);
  std::string out;
  Result<void> done;
  for (size_t at = 0; done && at < sealed.size(); at += step)
    done = opener.add(std::string_view(sealed).substr(at, step), out);
  if (done) done = opener.finish(out);
  EXPECT_EQ(out, plain.substr(0, out.size())) << "nothing else is ever given out";
  if (!done) return fail(std::move(done).error());
  return out;
}

std::string some_bytes(size_t size) {
  std::mt19937 random(static_cast<unsigned>(size));
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(SealedStream, OpensWhatWasSealedWhateverTheStepsAre) {
  const auto ring = ring_of("ab");
  for (const size_t size : {size_t{0}, size_t{1}, kStreamPieceBytes - 1, kStreamPieceBytes,
                            kStreamPieceBytes + 1, 2 * kStreamPieceBytes, 3 * kStreamPieceBytes + 17}) {
    const std::string plain = some_bytes(size);
    for (const size_t step : {size_t{777}, kStreamPieceBytes, size_t{1} << 20U}) {
      const std::string sealed = seal(plain, *ring, step);
      const size_t pieces = std::max<size_t>(1, (size + kStreamPieceBytes - 1) / kStreamPieceBytes);
      EXPECT_EQ(sealed.size(), kStreamHeadBytes + size + pieces * kTagBytes);
      EXPECT_TRUE(looks_sealed_stream(sealed));
      const auto opened = open(sealed, ring_of("ba"), step, plain);
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_TRUE(*opened == plain) << size;
    }
  }
}

TEST(SealedStream, TwoOfTheSameBytesAreDifferent) {
  const auto ring = ring_of("a");
  EXPECT_NE(seal("the same", *ring, 8).substr(kStreamHeadBytes),
            seal("the same", *ring, 8).substr(kStreamHeadBytes));
}

TEST(SealedStream, AnotherKeyOrPurposeOpensNothing) {
  const std::string plain = some_bytes(100);
  const std::string sealed = seal(plain, *ring_of("a"), 50);
  const auto other_key = open(sealed, ring_of("b"), 50, plain);
  ASSERT_FALSE(other_key);
  EXPECT_EQ(other_key.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(other_key.error().message.find(ring_of("a")->current().id.hex()), std::string::npos);
  EXPECT_EQ(open(sealed, nullptr, 50, plain).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(open(sealed, ring_of("a"), 50, plain, "q").error().code, ErrorCode::kCorrupt);
}

TEST(SealedStream, EveryFlippedByteIsFound) {
  const auto ring = ring_of("a");
  const std::string plain = some_bytes(kStreamPieceBytes + 40);
  const std::string sealed = seal(plain, *ring, 1 << 20U);
  std::mt19937 random(5);
  std::vector<size_t> places;
  // All of the head and of the last piece, some of the middle. The zeros at the head's end count, too.
  for (size_t at = 0; at < kStreamHeadBytes; ++at) places.push_back(at);
  for (size_t at = sealed.size() - 60; at < sealed.size(); ++at) places.push_back(at);
  for (int i = 0; i < 60; ++i) places.push_back(random() % sealed.size());
  for (const size_t at : places) {
    std::string changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ (1 << random() % 8));
    EXPECT_FALSE(open(changed, ring, 1 << 16U, plain)) << at;
  }
}

TEST(SealedStream, CutAnywhereItIsRefused) {
  const auto ring = ring_of("a");
  const std::string plain = some_bytes(2 * kStreamPieceBytes);
  const std::string sealed = seal(plain, *ring, 1 << 20U);
  std::vector<size_t> lengths = {0, 1, kStreamHeadBytes - 1, kStreamHeadBytes, kStreamHeadBytes + 5,
                                 kStreamHeadBytes + kTagBytes, sealed.size() - 1, sealed.size() - kTagBytes,
                                 // Whole pieces: only the mark of the last one tells.
                                 kStreamHeadBytes + kSealedPieceBytes};
  for (const size_t length : lengths) {
    const auto opened = open(sealed.substr(0, length), ring, 9999, plain);
    ASSERT_FALSE(opened) << length;
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  }
}

TEST(SealedStream, PiecesThatAreMovedRepeatedLeftOutOrAddedAreRefused) {
  const auto ring = ring_of("a");
  const std::string plain = some_bytes(3 * kStreamPieceBytes);
  const std::string sealed = seal(plain, *ring, 1 << 20U);
  const std::string head = sealed.substr(0, kStreamHeadBytes);
  const auto piece = [&](size_t i) {
    return sealed.substr(kStreamHeadBytes + i * kSealedPieceBytes, kSealedPieceBytes);
  };
  const std::string other = seal(plain, *ring, 1 << 20U);
  for (const std::string& changed :
       {head + piece(1) + piece(0) + piece(2), head + piece(0) + piece(0) + piece(1) + piece(2),
        head + piece(0) + piece(2), head + piece(2), sealed + piece(2), sealed + "x",
        head + other.substr(kStreamHeadBytes)}) {
    const auto opened = open(changed, ring, 1 << 16U, plain);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  }
}

TEST(SealedStream, AnotherVersionAndAnotherFileAreExplained) {
  const auto ring = ring_of("a");
  std::string sealed = seal("text", *ring, 4);
  sealed[8] = 9;
  EXPECT_EQ(open(sealed, ring, 100).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(open(std::string(200, 'x'), ring, 100).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace enhanced_gptcache::vault
