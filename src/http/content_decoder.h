#pragma once
// Undoes Content-Encoding (RFC 9110 section 8.4.1): gzip (several members too), deflate (zlib-wrapped,
// or raw as some servers send it), br, zstd, and lists of them. Output comes in bounded pieces, and a
// body that expands beyond reason is refused.

#include <memory>
#include <string>
#include <string_view>

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::http {

/// Confined to its owner.
class ContentDecoder {
 public:
  virtual ~ContentDecoder() = default;
  /// Decodes from `in` (advancing it) until `in` is used up or `out` has grown by about `out_bytes_max`.
  /// kUpstream: the bytes are not of this coding, or expand too far.
  virtual Result<void> decode(std::string_view& in, std::string& out, size_t out_bytes_max) = 0;
  /// True when the input may end here. A body cut off inside a member is not complete.
  virtual bool complete() const = 0;
};

/// For the value of a Content-Encoding header; null for none or "identity". kUnsupported: a coding that
/// is not known, or more than three.
Result<std::unique_ptr<ContentDecoder>> make_content_decoder(std::string_view content_encoding);

}  // namespace enhanced_gptcache::http
