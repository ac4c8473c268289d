#pragma once
// Entries for the tests of this folder: small, and recognisable by key and version.

#include <memory>
#include <string>

#include "base/keyed_hash.h"
#include "fakes/test_folder.h"
#include "store/entry_table.h"

namespace enhanced_gptcache::store {

using fakes::TestFolder;

/// Key number `n`, spread like a hash.
inline base::Hash128 sample_key(uint64_t n) {
  static constexpr base::SecretKey kKey{};
  return base::keyed_hash(kKey, "sample", {std::to_string(n)});
}

/// What the entry of a key answers in its `version`.
inline std::string sample_answer(uint64_t n, int version) {
  return "answer " + std::to_string(n) + " in version " + std::to_string(version);
}

inline EntryChange sample_put(uint64_t n, int version, size_t padding = 0) {
  static constexpr base::SecretKey kKey{};
  const base::Hash128 id = base::keyed_hash(kKey, "id", {std::to_string(n) + "." + std::to_string(version)});
  const std::string id_text = id.hex();
  const std::string text = sample_answer(n, version) + std::string(padding, 'x');
  EntryFields fields;
  fields.id = id_text;
  fields.text = text;
  fields.exact_key = sample_key(n);
  auto bytes = std::make_shared<EntryBytes>(encode_entry(fields).value());
  return {sample_key(n), id, bytes, bytes->view()};
}

inline EntryChange sample_removal(uint64_t n) { return {sample_key(n), {}, nullptr}; }

}  // namespace enhanced_gptcache::store
