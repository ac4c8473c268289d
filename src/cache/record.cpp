#include "cache/record.h"

#include <malloc.h>

#include "base/epoch.h"

namespace enhanced_gptcache::cache {
namespace {

/// What the allocator keeps in front of every block.
constexpr size_t kBlockHeaderBytes = sizeof(size_t);
/// The counts and the vtable pointer make_shared puts in front of the object.
constexpr size_t kSharedHeaderBytes = 16;

}  // namespace

std::shared_ptr<Record> Record::make(store::EntryBytes bytes, const base::Hash128& id) {
  return std::make_shared<Record>(std::move(bytes), id);
}

Record::Record(store::EntryBytes bytes, const base::Hash128& id) : bytes_(std::move(bytes)), id_hash_(id) {}

size_t Record::bytes() const {
  return malloc_usable_size(bytes_.data.get()) + kBlockHeaderBytes + sizeof(Record) + kSharedHeaderBytes +
         kBlockHeaderBytes;
}

void Record::retire(Record& record) {
  const auto release = [](void* object) {
    // The last reference may be this one; it must not live inside what it destroys.
    const std::shared_ptr<Record> last = std::move(static_cast<Record*>(object)->owner);
  };
  base::epoch_retire(&record, release, record.bytes());
}

}  // namespace enhanced_gptcache::cache
