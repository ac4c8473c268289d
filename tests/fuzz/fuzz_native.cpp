// Bodies and query strings of the native API.

#include "input.h"
#include "native/requests.h"

using namespace enhanced_gptcache;

namespace {

template <typename Read>
void with_body(std::string_view text, const Read& read) {
  const auto parsed = native::Body::parse(text);
  if (!parsed || !parsed->is_object()) return;
  native::Body body(*parsed);
  read(body);
  if (const auto done = body.finish(); !done) fuzz::must(!done.error().message.empty(), "a refusal says why");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t what = input.choice(6);
  const std::string text(input.rest());
  native::Caller caller;
  caller.tenant = "tenant";
  const native::NativeOptions options;
  switch (what) {
    case 0:
      with_body(text, [&](native::Body& body) {
        fuzz::must(native::read_lookup(body, caller, options).prompt.tenant == "tenant",
                   "the tenant is the caller's");
      });
      break;
    case 1:
      with_body(text, [&](native::Body& body) {
        fuzz::must(native::read_feedback(body, caller).tenant == "tenant", "the tenant is the caller's");
      });
      break;
    case 2:
      with_body(text, [&](native::Body& body) {
        fuzz::must(native::read_invalidate(body, caller).filter.tenant == "tenant",
                   "the tenant is the caller's");
      });
      break;
    case 3:
      with_body(text, [&](native::Body& body) { (void)native::read_flush_namespace(body, caller); });
      break;
    case 4: {
      const auto parsed = native::Body::parse(text);
      if (!parsed) break;
      const auto entries = native::read_entries(text, *parsed, caller, options);
      if (!entries) break;
      for (const StoreRequest& entry : *entries)
        fuzz::must(entry.prompt.tenant == "tenant", "the tenant is the caller's");
      break;
    }
    default:
      if (const auto list = native::read_list(text, caller, options))
        fuzz::must(list->filter.tenant == "tenant", "the tenant is the caller's");
  }
  return 0;
}
