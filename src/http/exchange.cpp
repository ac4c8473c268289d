#include "http/exchange.h"

#include "http/head_parser.h"

namespace enhanced_gptcache::http {

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (equals_ignoring_case(header.name, name)) return &header.value;
  }
  return nullptr;
}

std::string_view Request::header(std::string_view name) const {
  for (const HeaderView& header : headers) {
    if (equals_ignoring_case(header.name, name)) return header.value;
  }
  return {};
}

bool Request::has(std::string_view name) const {
  for (const HeaderView& header : headers) {
    if (equals_ignoring_case(header.name, name)) return true;
  }
  return false;
}

}  // namespace enhanced_gptcache::http
