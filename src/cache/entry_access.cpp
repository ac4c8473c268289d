#include "cache/entry_access.h"

#include "cache/record.h"

namespace enhanced_gptcache::cache {

bool is_within_reach(const Entry& entry, const EntryCaller& caller) {
  if (caller.user.empty() && caller.principal.empty()) return true;
  const auto* const record = dynamic_cast<const Record*>(&entry);
  if (record == nullptr) return false;  // an entry of no cache of ours says nothing about its owner
  const std::string_view owner = record->view().text(store::EntryText::kUser);
  if (owner.empty() || owner == caller.user) return true;
  const bool is_application = caller.user.empty() || caller.user == caller.principal;
  return is_application && !caller.principal.empty() && record->principal() == caller.principal;
}

}  // namespace enhanced_gptcache::cache
