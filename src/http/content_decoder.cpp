#include "http/content_decoder.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "http/head_parser.h"

namespace enhanced_gptcache::http {
namespace {

constexpr size_t kStepBytes = size_t{16} << 10U;
/// A text of one repeated byte reaches 1,000 to 1; answers of language models stay below 20.
constexpr uint64_t kExpansionMax = 400;
constexpr uint64_t kExpansionFreeBytes = uint64_t{8} << 20U;
constexpr uint64_t kDecodedBytesMax = uint64_t{1} << 30U;
/// 8 MiB windows are what RFC 8878 asks a decoder to support; more is a way to make us allocate.
constexpr int kZstdWindowLogMax = 23;

tl::unexpected<Error> bad_coding(std::string_view coding) {
  return fail(ErrorCode::kUpstream, "the answer's body is not valid " + std::string(coding));
}

class ZlibDecoder final : public ContentDecoder {
 public:
  explicit ZlibDecoder(bool gzip) : gzip_(gzip) {}
  ~ZlibDecoder() override {
    if (ready_) inflateEnd(&stream_);
  }
  ZlibDecoder(const ZlibDecoder&) = delete;
  ZlibDecoder& operator=(const ZlibDecoder&) = delete;

  Result<void> decode(std::string_view& in, std::string& out, size_t out_bytes_max) override {
    const size_t limit = out.size() + out_bytes_max;
    while (out.size() < limit) {
      if (!begin(in)) return {};
      if (ended_ && !next_member(in)) return {};
      std::string_view held = header_;
      std::string_view& source = held.empty() ? in : held;
      size_t made = 0;
      if (const int code = step(source, out, made);
          code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return bad_coding(gzip_ ? "gzip" : "deflate");
      }
      header_.erase(0, header_.size() - held.size());
      if (!ended_ && header_.empty() && in.empty() && made < kStepBytes) return {};
    }
    return {};
  }
  bool complete() const override { return ended_; }

 private:
  /// False: more input is needed first. "deflate" means zlib-wrapped, but some servers send raw deflate;
  /// the two header bytes tell.
  bool begin(std::string_view& in) {
    if (ready_) return true;
    int window_bits = MAX_WBITS + 16;
    if (!gzip_) {
      while (header_.size() < 2 && !in.empty()) {
        header_ += in.front();
        in.remove_prefix(1);
      }
      if (header_.size() < 2) return false;
      const unsigned first = static_cast<unsigned char>(header_[0]),
                     second = static_cast<unsigned char>(header_[1]);
      const bool wrapped = (first & 15U) == 8 && (first * 256 + second) % 31 == 0;
      window_bits = wrapped ? MAX_WBITS : -MAX_WBITS;
    }
    EGPTC_CHECK(inflateInit2(&stream_, window_bits) == Z_OK);
    ready_ = true;
    return true;
  }
  int step(std::string_view& source, std::string& out, size_t& made) {
    std::array<unsigned char, kStepBytes> buffer;
    const auto offered = static_cast<unsigned>(std::min<size_t>(source.size(), size_t{1} << 30U));
    stream_.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(source.data()));
    stream_.avail_in = offered;
    stream_.next_out = buffer.data();
    stream_.avail_out = buffer.size();
    const int code = inflate(&stream_, Z_NO_FLUSH);
    source.remove_prefix(offered - stream_.avail_in);
    made = buffer.size() - stream_.avail_out;
    out.append(reinterpret_cast<const char*>(buffer.data()), made);
    ended_ = code == Z_STREAM_END;
    return code;
  }
  /// After the end of a gzip member: another one, or zero padding to skip.
  bool next_member(std::string_view& in) {
    while (gzip_ && !in.empty() && in.front() == '\0') in.remove_prefix(1);
    if (in.empty()) return false;
    if (!gzip_) {
      in = {};
      return false;
    }
    EGPTC_CHECK(inflateReset(&stream_) == Z_OK);
    ended_ = false;
    return true;
  }

  const bool gzip_;
  z_stream stream_{};
  std::string header_;  // the first two bytes of "deflate", until inflate has taken them
  bool ready_ = false;
  bool ended_ = false;
};

class BrotliDecoder final : public ContentDecoder {
 public:
  BrotliDecoder() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    EGPTC_CHECK(state_ != nullptr);
  }
  ~BrotliDecoder() override { BrotliDecoderDestroyInstance(state_); }
  BrotliDecoder(const BrotliDecoder&) = delete;
  BrotliDecoder& operator=(const BrotliDecoder&) = delete;

  Result<void> decode(std::string_view& in, std::string& out, size_t out_bytes_max) override {
    const size_t limit = out.size() + out_bytes_max;
    while (out.size() < limit) {
      if (complete()) return in.empty() ? Result<void>() : bad_coding("br");
      size_t left = in.size();
      const auto* next = reinterpret_cast<const uint8_t*>(in.data());
      std::array<uint8_t, kStepBytes> buffer;
      size_t room = buffer.size();
      uint8_t* into = buffer.data();
      const auto code = BrotliDecoderDecompressStream(state_, &left, &next, &room, &into, nullptr);
      in.remove_prefix(in.size() - left);
      out.append(reinterpret_cast<const char*>(buffer.data()), buffer.size() - room);
      if (code == BROTLI_DECODER_RESULT_ERROR) return bad_coding("br");
      if (code == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT) return {};
    }
    return {};
  }
  bool complete() const override { return BrotliDecoderIsFinished(state_) != 0; }

 private:
  BrotliDecoderState* state_;
};

class ZstdDecoder final : public ContentDecoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDCtx()) {
    EGPTC_CHECK(stream_ != nullptr);
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(stream_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Result<void> decode(std::string_view& in, std::string& out, size_t out_bytes_max) override {
    const size_t limit = out.size() + out_bytes_max;
    while (out.size() < limit) {
      if (in.empty() && frame_ended_) return {};
      std::array<char, kStepBytes> buffer;
      ZSTD_inBuffer source{in.data(), in.size(), 0};
      ZSTD_outBuffer target{buffer.data(), buffer.size(), 0};
      const size_t code = ZSTD_decompressStream(stream_, &target, &source);
      in.remove_prefix(source.pos);
      out.append(buffer.data(), target.pos);
      if (ZSTD_isError(code) != 0) return bad_coding("zstd");
      frame_ended_ = code == 0;
      if (in.empty() && target.pos < buffer.size()) return {};
    }
    return {};
  }
  bool complete() const override { return frame_ended_; }

 private:
  ZSTD_DCtx* stream_;
  bool frame_ended_ = false;
};

/// The codings of a list, undone from the last to the first, with the limits over the whole.
class DecoderChain final : public ContentDecoder {
 public:
  explicit DecoderChain(std::vector<std::unique_ptr<ContentDecoder>> stages) : stages_(std::move(stages)) {
    pending_.resize(stages_.size());
  }

  Result<void> decode(std::string_view& in, std::string& out, size_t out_bytes_max) override {
    const size_t before_in = in.size(), before_out = out.size();
    EGPTC_TRY(const bool ran, run(0, in, out, out_bytes_max));
    (void)ran;
    in_bytes_ += before_in - in.size();
    out_bytes_ += out.size() - before_out;
    if (out_bytes_ > kDecodedBytesMax || out_bytes_ > kExpansionFreeBytes + in_bytes_ * kExpansionMax) {
      return fail(ErrorCode::kUpstream, "the answer's compressed body expands beyond the limit of " +
                                            std::to_string(kExpansionMax) + " to 1 or 1 GiB");
    }
    return {};
  }
  bool complete() const override {
    for (size_t i = 0; i < stages_.size(); ++i) {
      if (!stages_[i]->complete() || !pending_[i].empty()) return false;
    }
    return true;
  }

 private:
  /// Stage `i` and those after it. What a stage makes for the next one waits in pending_.
  Result<bool> run(size_t i, std::string_view& in, std::string& out, size_t out_bytes_max) {
    if (i + 1 == stages_.size()) {
      if (auto decoded = stages_[i]->decode(in, out, out_bytes_max); !decoded) return fail(decoded.error());
      return true;
    }
    const size_t limit = out.size() + out_bytes_max;
    for (;;) {
      std::string& between = pending_[i + 1];
      if (between.empty()) {
        if (auto decoded = stages_[i]->decode(in, between, kStepBytes); !decoded)
          return fail(decoded.error());
        if (between.empty()) return true;
      }
      std::string_view rest = between;
      const size_t offered = rest.size();
      EGPTC_TRY(const bool ran, run(i + 1, rest, out, limit - out.size()));
      (void)ran;
      between.erase(0, offered - rest.size());
      if (out.size() >= limit) return true;
    }
  }

  std::vector<std::unique_ptr<ContentDecoder>> stages_;  // in the order in which they are undone
  std::vector<std::string> pending_;                     // input of stage i that it has not taken
  uint64_t in_bytes_ = 0, out_bytes_ = 0;
};

std::string_view next_coding(std::string_view& list) {
  const size_t comma = list.find(',');
  std::string_view name = list.substr(0, comma);
  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  while (name.starts_with(' ') || name.starts_with('\t')) name.remove_prefix(1);
  while (name.ends_with(' ') || name.ends_with('\t')) name.remove_suffix(1);
  return name;
}

}  // namespace

Result<std::unique_ptr<ContentDecoder>> make_content_decoder(std::string_view content_encoding) {
  std::vector<std::unique_ptr<ContentDecoder>> stages;
  std::string_view list = content_encoding;
  while (!list.empty()) {
    const std::string_view name = next_coding(list);
    if (name.empty() || equals_ignoring_case(name, "identity")) continue;
    std::unique_ptr<ContentDecoder> stage;
    if (equals_ignoring_case(name, "gzip") || equals_ignoring_case(name, "x-gzip")) {
      stage = std::make_unique<ZlibDecoder>(true);
    } else if (equals_ignoring_case(name, "deflate")) {
      stage = std::make_unique<ZlibDecoder>(false);
    } else if (equals_ignoring_case(name, "br")) {
      stage = std::make_unique<BrotliDecoder>();
    } else if (equals_ignoring_case(name, "zstd")) {
      stage = std::make_unique<ZstdDecoder>();
    }
    if (!stage)
      return fail(ErrorCode::kUnsupported,
                  "the answer has the unknown Content-Encoding " + std::string(name));
    stages.insert(stages.begin(), std::move(stage));
    if (stages.size() > 3)
      return fail(ErrorCode::kUnsupported, "the answer has more than three content codings");
  }
  std::unique_ptr<ContentDecoder> chain;
  if (!stages.empty()) chain = std::make_unique<DecoderChain>(std::move(stages));
  return chain;
}

}  // namespace enhanced_gptcache::http
