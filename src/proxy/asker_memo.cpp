#include "proxy/asker_memo.h"

#include <array>
#include <memory>

#include "base/short_hash.h"

namespace enhanced_gptcache::proxy {
namespace {

struct Slot {
  base::Hash128 key{};
  bool is_known = false;
  bool is_personal = false;
};
using Slots = std::array<Slot, 2048>;

base::Hash128 key_of(const Prompt& prompt, std::string_view query) {
  static const base::ShortKey key = base::derive_short_key(base::random_key(), "asker memo");
  return base::short_hash(key, {prompt.dialect, prompt.canonical, query});
}

Slot& slot_of(const base::Hash128& key) {
  static thread_local const auto slots = std::make_unique<Slots>();
  return (*slots)[key.low % slots->size()];
}

}  // namespace

std::optional<bool> remembered_personal(const Prompt& prompt, std::string_view query) {
  const base::Hash128 key = key_of(prompt, query);
  const Slot& slot = slot_of(key);
  if (!slot.is_known || slot.key != key) return std::nullopt;
  return slot.is_personal;
}

void remember_personal(const Prompt& prompt, std::string_view query, bool is_personal) {
  const base::Hash128 key = key_of(prompt, query);
  slot_of(key) = {key, true, is_personal};
}

}  // namespace enhanced_gptcache::proxy
