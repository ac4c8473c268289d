#pragma once
// The bytes of one stored answer. One block, read in place: a fixed frame, fixed scalars, a table of field
// ends, then the fields. docs/formats.md describes every byte and the rule for newer versions. In memory
// there is a shorter form of the same, without what is known anyway (pack_entry); it is never written.

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::store {

inline constexpr uint16_t kEntryVersion = 1;

/// Text fields in the order of their table of ends. Appending one keeps the version; anything else raises it.
enum class EntryText : uint8_t {
  kId,
  kTenant,
  kNamespace,
  kModel,
  kUser,
  kDialect,
  kCanonical,
  kQuery,
  kText,
  kResponseJson,
  kCompletion,
  kSubject,
  kPrincipal,
  kModelEpoch,
  kPolicyEpoch,
  kTags,            ///< list
  kContextAnchors,  ///< list
  kContextVector,   ///< vector
  kEmbedding,       ///< vector
  kCount,
};
inline constexpr size_t kEntryTexts = static_cast<size_t>(EntryText::kCount);

/// How the numbers of a vector are kept. Int8 costs a quarter; the cosine to the original stays above 0.9999.
enum class VectorForm : uint8_t { kFloat32 = 1, kInt8 = 2 };

/// The conversation an entry was learned in, as far as matching needs it: not its text.
struct EntryContext {
  size_t turns = 0;
  uint64_t exact_hash = 0;
  std::vector<float> vector;
  std::vector<std::string> anchors;
};

/// What encode_entry writes. Views: the caller keeps what they show alive during the call.
struct EntryFields {
  std::string_view id, tenant, name_space, model, user, dialect, canonical, query, text, response_json;
  std::string_view completion, subject, principal, model_epoch, policy_epoch;
  std::span<const std::string> tags;
  int64_t created_ms = 0;
  int64_t expires_ms = 0;  ///< 0: never
  uint64_t tokens_prompt = 0;
  uint64_t tokens_completion = 0;
  double latency_ms = 0;
  base::Hash128 exact_key;
  base::Hash128 partition;
  bool semantic = false;
  const EntryContext* context = nullptr;  ///< null: learned without context
  std::span<const float> embedding;       ///< empty: none
  VectorForm vector_form = VectorForm::kInt8;
};

/// Owns the bytes of one entry: exactly one allocation.
struct EntryBytes {
  std::unique_ptr<char[]> data;
  size_t size = 0;
  std::string_view view() const { return {data.get(), size}; }
};

/// kInvalidArgument: more than entry_bytes_limit() bytes.
Result<EntryBytes> encode_entry(const EntryFields& fields);
/// What the format itself can hold (4 GiB less one); caches set lower limits.
constexpr size_t entry_bytes_limit() { return UINT32_MAX; }

/// Reads an entry in place; copies nothing, owns nothing. Thread rule: immutable.
class EntryView {
 public:
  /// Verifies everything: frame, checksum, ends, lists, vectors. kCorrupt: not an entry, cut, or changed.
  /// kUnsupported: intact, but written by a newer version.
  static Result<EntryView> parse(std::string_view bytes);
  /// For bytes that encode_entry or pack_entry of this process returned: no checks.
  static EntryView trusted(std::string_view bytes) { return EntryView(bytes); }

  std::string_view text(EntryText field) const;
  std::vector<std::string_view> list(EntryText field) const;
  /// The numbers of a vector field; empty when there is none.
  std::vector<float> vector(EntryText field) const;
  /// Turns 0 when learned without context.
  EntryContext context() const;
  size_t context_turns() const;

  int64_t created_ms() const;
  int64_t expires_ms() const;
  uint64_t tokens_prompt() const;
  uint64_t tokens_completion() const;
  double latency_ms() const;
  base::Hash128 exact_key() const;
  base::Hash128 partition() const;
  bool semantic() const;
  std::string_view bytes() const { return bytes_; }

 private:
  explicit EntryView(std::string_view bytes) : bytes_(bytes) {}
  Result<void> check_fields() const;
  bool is_packed() const;
  const char* scalar(size_t offset) const;
  size_t ends_at() const;
  size_t end_bytes() const;
  uint32_t field_count() const;
  uint32_t field_end(size_t field) const;

  std::string_view bytes_;
};

/// The form for memory, a third of the fixed part: without the frame, with short ends, without the model
/// epoch if that is `model_epoch`, and without the embedding where the index has it. Empty when the entry
/// has fields that this version does not know: such an entry stays as it is.
EntryBytes pack_entry(std::string_view whole, std::string_view model_epoch, bool drops_embedding);
/// The way back: the bytes for the disk; `embedding` as int8 for one that was packed without. `bytes` that
/// are whole already are copied.
EntryBytes unpack_entry(std::string_view bytes, std::string_view model_epoch,
                        std::span<const float> embedding);

/// The vector a reader gets back from `values` written in this form, scaled to length 1. What is
/// searched is this one, so that results are the same before and after a restart.
std::vector<float> round_trip(std::span<const float> values, VectorForm form);
/// `values` scaled to length 1; zeros stay zeros.
std::vector<float> unit_vector(std::vector<float> values);

}  // namespace enhanced_gptcache::store
