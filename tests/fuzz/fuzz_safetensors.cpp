// Model files in the safetensors format.

#include <sys/mman.h>
#include <unistd.h>

#include "embed/safetensors.h"
#include "input.h"

using namespace enhanced_gptcache;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int file = ::memfd_create("fuzz", 0);
  if (file < 0) return 0;
  if (::write(file, data, size) != static_cast<ssize_t>(size)) {
    ::close(file);
    return 0;
  }
  const auto model = embed::SafeTensors::open("/proc/self/fd/" + std::to_string(file));
  if (!model) {
    fuzz::must(!model.error().message.empty(), "a refusal says why");
    ::close(file);
    return 0;
  }
  size_t sum = 0;
  for (const std::string& name : model->names()) {
    const auto tensor = model->tensor(name);
    fuzz::must(tensor.has_value(), "a name leads to its tensor");
    for (const std::byte one : tensor->bytes) sum += static_cast<size_t>(one);
    if (const auto floats = model->floats(name, tensor->shape)) {
      uint64_t count = 1;
      for (const uint64_t side : tensor->shape) count *= side;
      fuzz::must(floats->size() == count, "as many numbers as the shape says");
    }
  }
  fuzz::must(sum <= 255 * size * (model->names().size() + 1), "bytes are inside the file");
  ::close(file);
  return 0;
}
