#include "http/content_decoder.h"

#include <brotli/encode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

namespace enhanced_gptcache::http {
namespace {

std::string deflated(const std::string& text, int window_bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<unsigned char*>(out.data());
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string brotlied(const std::string& text) {
  size_t size = BrotliEncoderMaxCompressedSize(text.size()) + 16;
  std::string out(size, '\0');
  EXPECT_TRUE(BrotliEncoderCompress(5, 22, BROTLI_MODE_TEXT, text.size(),
                                    reinterpret_cast<const uint8_t*>(text.data()), &size,
                                    reinterpret_cast<uint8_t*>(out.data())));
  out.resize(size);
  return out;
}

std::string zstded(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Coding {
  const char* header;
  std::string (*encode)(const std::string&);
};
const Coding kCodings[] = {
    {"gzip", [](const std::string& text) { return deflated(text, 31); }},
    {"X-GZIP", [](const std::string& text) { return deflated(text, 31); }},
    {"deflate", [](const std::string& text) { return deflated(text, 15); }},
    {"deflate", [](const std::string& text) { return deflated(text, -15); }},
    {"br", brotlied},
    {"zstd", zstded},
    {"gzip, br", [](const std::string& text) { return brotlied(deflated(text, 31)); }},
    {"identity, zstd, gzip", [](const std::string& text) { return deflated(zstded(text), 31); }},
};

/// Feeds `pieces` one after the other, taking output in small steps.
Result<std::string> decode(std::string_view header, std::initializer_list<std::string_view> pieces,
                           bool& complete) {
  auto decoder = make_content_decoder(header);
  if (!decoder) return fail(decoder.error());
  std::string out;
  for (std::string_view piece : pieces) {
    for (;;) {
      const size_t before = out.size();
      if (auto decoded = (*decoder)->decode(piece, out, 100); !decoded) return fail(decoded.error());
      if (out.size() == before) break;
    }
  }
  complete = (*decoder)->complete();
  return out;
}

TEST(ContentDecoder, DecodesEachCodingCutAtEveryByte) {
  std::string text = "{\"id\":\"x\",\"choices\":[";
  for (int i = 0; i < 60; ++i) text += "{\"delta\":" + std::to_string(i * 7919) + "},";
  for (const Coding& coding : kCodings) {
    const std::string encoded = coding.encode(text);
    for (size_t cut = 0; cut <= encoded.size(); ++cut) {
      bool complete = false;
      const std::string_view bytes = encoded;
      const auto out = decode(coding.header, {bytes.substr(0, cut), bytes.substr(cut)}, complete);
      ASSERT_TRUE(out) << coding.header << " cut at " << cut << ": " << out.error().message;
      EXPECT_EQ(*out, text) << coding.header << " cut at " << cut;
      EXPECT_TRUE(complete);
    }
  }
}

TEST(ContentDecoder, ACutBodyIsNeverComplete) {
  const std::string text(500, 'x');
  for (const Coding& coding : kCodings) {
    const std::string encoded = coding.encode(text + coding.header);
    for (size_t cut = 0; cut < encoded.size(); ++cut) {
      bool complete = false;
      const auto out = decode(coding.header, {std::string_view(encoded).substr(0, cut)}, complete);
      EXPECT_TRUE(!out || !complete) << coding.header << " cut at " << cut;
    }
  }
}

TEST(ContentDecoder, RefusesDamage) {
  for (const Coding& coding : kCodings) {
    bool complete = false;
    const auto out = decode(
        coding.header, {std::string_view("\xFF\xFFthis is not compressed at all, not at all")}, complete);
    ASSERT_FALSE(out) << coding.header;
    EXPECT_EQ(out.error().code, ErrorCode::kUpstream);
  }
}

TEST(ContentDecoder, ReadsSeveralGzipMembersAndZeroPadding) {
  const std::string first = deflated("one ", 31), second = deflated("two", 31);
  const std::string both = first + second + std::string(8, '\0');
  for (size_t cut = 0; cut <= both.size(); ++cut) {
    bool complete = false;
    const auto out = decode("gzip", {both.substr(0, cut), both.substr(cut)}, complete);
    ASSERT_TRUE(out) << cut;
    EXPECT_EQ(*out, "one two");
    EXPECT_TRUE(complete);
  }
  bool complete = false;
  EXPECT_FALSE(decode("gzip", {first + "junk that is not a member"}, complete));
  EXPECT_FALSE(decode("br", {brotlied("a") + "junk"}, complete));
}

TEST(ContentDecoder, RefusesABomb) {
  const std::string zeros(size_t{64} << 20U, '\0');
  for (const Coding& coding : {kCodings[0], kCodings[4], kCodings[5]}) {
    const std::string encoded = coding.encode(zeros);
    auto decoder = make_content_decoder(coding.header);
    ASSERT_TRUE(decoder);
    std::string_view in = encoded;
    std::string out;
    Result<void> decoded;
    while (decoded && out.size() < zeros.size()) {
      const size_t before = out.size();
      decoded = (*decoder)->decode(in, out, 65536);
      if (out.size() == before) break;
    }
    ASSERT_FALSE(decoded) << coding.header;
    EXPECT_NE(decoded.error().message.find("expands"), std::string::npos);
    EXPECT_LT(out.size(), zeros.size());
  }
}

TEST(ContentDecoder, KnowsWhatItDoesNotKnow) {
  EXPECT_EQ(*make_content_decoder(""), nullptr);
  EXPECT_EQ(*make_content_decoder("identity"), nullptr);
  const auto unknown = make_content_decoder("gzip, compress");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(make_content_decoder("gzip, gzip, gzip, gzip"));
}

}  // namespace
}  // namespace enhanced_gptcache::http
