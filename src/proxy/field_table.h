#pragma once
// What each field of a request body means to the cache: default-deny. A field that is not listed
// here is part of the exact key and of the partition. docs/exact-key.md is this table in prose, and
// a test compares the two.

#include <span>
#include <string_view>

namespace enhanced_gptcache::proxy {

enum class Dialect { kChat, kCompletions, kEmbeddings };
/// The word kept with an entry ("chat", "completions", "embeddings").
std::string_view to_string(Dialect dialect);

enum class FieldUse {
  kKeyed,     ///< exact key and partition, as written; also every field that is not listed
  kModel,     ///< named by itself in key and partition
  kContent,   ///< exact key; what the semantic layer compares; keyed outside the own dialect
  kSampling,  ///< exact key as written; partition by class only
  kIgnored,   ///< in neither: it cannot change the answer
  kControl,   ///< addressed to the cache: in neither, and not forwarded
};
std::string_view to_string(FieldUse use);

/// When a field keeps a request away from the semantic layer (the exact layer still serves it).
enum class SemanticRule {
  kNone,
  kNeverWhenSet,  ///< any value but null, false or an empty list
  kOnlyWhenOne,   ///< any number but 1
};

struct FieldRow {
  std::string_view name;
  FieldUse use;
  SemanticRule semantic;
  std::string_view reason;  ///< one sentence, printed in the document
};

/// Every field we know something about, sorted by name.
std::span<const FieldRow> field_table();
/// nullptr: not listed, so keyed.
const FieldRow* find_field(std::string_view name);
/// The one content field of a dialect: messages, prompt or input.
std::string_view content_field(Dialect dialect);
/// What `name` means in a body of this dialect. A content field of another dialect is keyed like any
/// unknown one: the provider may act on it, and nothing compares it.
FieldUse use_of(Dialect dialect, std::string_view name, const FieldRow* row);

}  // namespace enhanced_gptcache::proxy
