#pragma once
// Where the listener's certificate is.

#include <string>

namespace enhanced_gptcache::http {

/// Files in PEM. All empty: no TLS.
struct TlsOptions {
  std::string certificate_file;  ///< the certificate and those between it and the root
  std::string key_file;
  std::string client_ca_file;  ///< not empty: callers must show a certificate one of these has signed (mTLS)
  bool is_on() const { return !certificate_file.empty(); }
};

}  // namespace enhanced_gptcache::http
