#include "store/entry_codec.h"

#include <fmt/format.h>

#include <cmath>

#include "store/little_endian.h"
#include "store/vector_codec.h"

namespace enhanced_gptcache::store {
namespace {

constexpr char kMagic[] = {'E', 'G', 'P', 'E'};
// Offsets of the frame, the same in every version, now and later.
constexpr size_t kVersionAt = 4;
constexpr size_t kTotalAt = 8;
constexpr size_t kChecksumAt = 16;
constexpr size_t kFrameBytes = 32;
// Offsets of version 1's scalars.
constexpr size_t kCreatedAt = 32;
constexpr size_t kExpiresAt = 40;
constexpr size_t kTokensPromptAt = 48;
constexpr size_t kTokensCompletionAt = 56;
constexpr size_t kLatencyAt = 64;
constexpr size_t kExactKeyAt = 72;
constexpr size_t kPartitionAt = 88;
constexpr size_t kContextHashAt = 104;
constexpr size_t kContextTurnsAt = 112;
constexpr size_t kFlagsAt = 116;
constexpr size_t kFieldCountAt = 120;
constexpr size_t kEndsAt = 124;

constexpr uint32_t kFlagSemantic = 1;

// In memory: a byte of its own, the scalars as above, ends of 16 or 32 bits, the fields. The first byte is
// never that of the magic.
constexpr char kPackedShort = 1;  // ends of 16 bits
constexpr char kPackedEpoch = 2;  // the model epoch is there
constexpr size_t kPackedScalarsAt = 1;
constexpr size_t kScalarBytes = kFieldCountAt - kCreatedAt;
constexpr size_t kPackedEndsAt = kPackedScalarsAt + kScalarBytes;

// The checksum finds damage, not attackers: its key is public (all zero).
base::Hash128 checksum(std::string_view bytes) {
  static constexpr base::SecretKey kPublicKey{};
  return base::keyed_hash(kPublicKey, "entry-bytes",
                          {bytes.substr(0, kChecksumAt), bytes.substr(kFrameBytes)});
}

void put_hash(char* out, const base::Hash128& hash) {
  put<uint64_t>(out, hash.high);
  put<uint64_t>(out + 8, hash.low);
}

base::Hash128 get_hash(const char* in) { return {get<uint64_t>(in), get<uint64_t>(in + 8)}; }

std::array<std::string_view, kEntryTexts> plain_texts(const EntryFields& fields) {
  return {fields.id,         fields.tenant,    fields.name_space, fields.model,       fields.user,
          fields.dialect,    fields.canonical, fields.query,      fields.text,        fields.response_json,
          fields.completion, fields.subject,   fields.principal,  fields.model_epoch, fields.policy_epoch};
}

size_t list_bytes(std::span<const std::string> items) {
  size_t bytes = 0;
  for (const std::string& item : items) bytes += sizeof(uint32_t) + item.size();
  return bytes;
}

void write_list(char* out, std::span<const std::string> items) {
  for (const std::string& item : items) {
    put<uint32_t>(out, static_cast<uint32_t>(item.size()));
    std::memcpy(out + sizeof(uint32_t), item.data(), item.size());
    out += sizeof(uint32_t) + item.size();
  }
}

bool is_list(std::string_view bytes) {
  while (!bytes.empty()) {
    if (bytes.size() < sizeof(uint32_t)) return false;
    const size_t length = get<uint32_t>(bytes.data());
    if (bytes.size() - sizeof(uint32_t) < length) return false;
    bytes.remove_prefix(sizeof(uint32_t) + length);
  }
  return true;
}

std::span<const std::string> anchors_of(const EntryFields& fields) {
  if (fields.context == nullptr) return {};
  return fields.context->anchors;
}

std::span<const float> context_vector_of(const EntryFields& fields) {
  if (fields.context == nullptr) return {};
  return fields.context->vector;
}

std::array<size_t, kEntryTexts> field_sizes(const EntryFields& fields) {
  std::array<size_t, kEntryTexts> sizes{};
  const auto texts = plain_texts(fields);
  for (size_t i = 0; i < kEntryTexts; ++i) sizes[i] = texts[i].size();
  sizes[static_cast<size_t>(EntryText::kTags)] = list_bytes(fields.tags);
  sizes[static_cast<size_t>(EntryText::kContextAnchors)] = list_bytes(anchors_of(fields));
  sizes[static_cast<size_t>(EntryText::kContextVector)] =
      vector_bytes(context_vector_of(fields).size(), fields.vector_form);
  sizes[static_cast<size_t>(EntryText::kEmbedding)] =
      vector_bytes(fields.embedding.size(), fields.vector_form);
  return sizes;
}

void write_scalars(char* out, const EntryFields& fields) {
  put<int64_t>(out + kCreatedAt, fields.created_ms);
  put<int64_t>(out + kExpiresAt, fields.expires_ms);
  put<uint64_t>(out + kTokensPromptAt, fields.tokens_prompt);
  put<uint64_t>(out + kTokensCompletionAt, fields.tokens_completion);
  put<double>(out + kLatencyAt, fields.latency_ms);
  put_hash(out + kExactKeyAt, fields.exact_key);
  put_hash(out + kPartitionAt, fields.partition);
  if (fields.context != nullptr) {
    put<uint64_t>(out + kContextHashAt, fields.context->exact_hash);
    put<uint32_t>(out + kContextTurnsAt, static_cast<uint32_t>(fields.context->turns));
  }
  put<uint32_t>(out + kFlagsAt, fields.semantic ? kFlagSemantic : 0);
  put<uint32_t>(out + kFieldCountAt, static_cast<uint32_t>(kEntryTexts));
}

void write_field(char* out, const EntryFields& fields, EntryText field) {
  switch (field) {
    case EntryText::kTags:
      return write_list(out, fields.tags);
    case EntryText::kContextAnchors:
      return write_list(out, anchors_of(fields));
    case EntryText::kContextVector:
      return write_vector(out, context_vector_of(fields), fields.vector_form);
    case EntryText::kEmbedding:
      return write_vector(out, fields.embedding, fields.vector_form);
    default: {
      const std::string_view text = plain_texts(fields)[static_cast<size_t>(field)];
      if (!text.empty()) std::memcpy(out, text.data(), text.size());
    }
  }
}

}  // namespace

Result<EntryBytes> encode_entry(const EntryFields& fields) {
  const auto sizes = field_sizes(fields);
  const size_t data_at = kEndsAt + kEntryTexts * sizeof(uint32_t);
  size_t total = data_at;
  for (const size_t size : sizes) total += size;
  if (total > entry_bytes_limit()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("entry of {} bytes: at most {}", total, entry_bytes_limit()));
  }
  EntryBytes bytes{std::make_unique<char[]>(total), total};
  char* out = bytes.data.get();
  std::memcpy(out, kMagic, sizeof kMagic);
  put<uint16_t>(out + kVersionAt, kEntryVersion);
  put<uint32_t>(out + kTotalAt, static_cast<uint32_t>(total));
  write_scalars(out, fields);
  size_t at = data_at;
  for (size_t i = 0; i < kEntryTexts; ++i) {
    write_field(out + at, fields, static_cast<EntryText>(i));
    at += sizes[i];
    put<uint32_t>(out + kEndsAt + i * sizeof(uint32_t), static_cast<uint32_t>(at));
  }
  put_hash(out + kChecksumAt, checksum(bytes.view()));
  return bytes;
}

namespace {

/// The texts of an entry on their way from one form to the other.
std::array<std::string_view, kEntryTexts> texts_of(const EntryView& view) {
  std::array<std::string_view, kEntryTexts> texts;
  for (size_t i = 0; i < kEntryTexts; ++i) texts[i] = view.text(static_cast<EntryText>(i));
  return texts;
}

size_t bytes_of(const std::array<std::string_view, kEntryTexts>& texts) {
  size_t bytes = 0;
  for (const std::string_view text : texts) bytes += text.size();
  return bytes;
}

template <typename End>
void write_texts(EntryBytes& out, size_t ends_at, const std::array<std::string_view, kEntryTexts>& texts) {
  size_t at = ends_at + kEntryTexts * sizeof(End);
  for (size_t i = 0; i < kEntryTexts; ++i) {
    if (!texts[i].empty()) std::memcpy(out.data.get() + at, texts[i].data(), texts[i].size());
    at += texts[i].size();
    put<End>(out.data.get() + ends_at + i * sizeof(End), static_cast<End>(at));
  }
}

EntryBytes allocate(size_t size) { return {std::make_unique_for_overwrite<char[]>(size), size}; }

std::string_view& text_in(std::array<std::string_view, kEntryTexts>& texts, EntryText field) {
  return texts[static_cast<size_t>(field)];
}

}  // namespace

EntryBytes pack_entry(std::string_view whole, std::string_view model_epoch, bool drops_embedding) {
  const auto view = EntryView::trusted(whole);
  if (get<uint32_t>(whole.data() + kFieldCountAt) != kEntryTexts) return {};
  auto texts = texts_of(view);
  const bool has_epoch = text_in(texts, EntryText::kModelEpoch) != model_epoch;
  if (!has_epoch) text_in(texts, EntryText::kModelEpoch) = {};
  if (drops_embedding) text_in(texts, EntryText::kEmbedding) = {};
  const size_t fixed = kPackedEndsAt + bytes_of(texts);
  const bool is_short = fixed + kEntryTexts * sizeof(uint16_t) <= UINT16_MAX;
  EntryBytes packed = allocate(fixed + kEntryTexts * (is_short ? sizeof(uint16_t) : sizeof(uint32_t)));
  packed.data[0] = static_cast<char>((is_short ? kPackedShort : 0) | (has_epoch ? kPackedEpoch : 0));
  std::memcpy(packed.data.get() + kPackedScalarsAt, whole.data() + kCreatedAt, kScalarBytes);
  if (is_short)
    write_texts<uint16_t>(packed, kPackedEndsAt, texts);
  else
    write_texts<uint32_t>(packed, kPackedEndsAt, texts);
  return packed;
}

EntryBytes unpack_entry(std::string_view bytes, std::string_view model_epoch,
                        std::span<const float> embedding) {
  if (bytes[0] == kMagic[0]) {
    EntryBytes copy = allocate(bytes.size());
    std::memcpy(copy.data.get(), bytes.data(), bytes.size());
    return copy;
  }
  auto texts = texts_of(EntryView::trusted(bytes));
  if ((bytes[0] & kPackedEpoch) == 0) text_in(texts, EntryText::kModelEpoch) = model_epoch;
  std::string vector;
  if (std::string_view& place = text_in(texts, EntryText::kEmbedding); place.empty() && !embedding.empty()) {
    vector.resize(vector_bytes(embedding.size(), VectorForm::kInt8));
    write_vector(vector.data(), embedding, VectorForm::kInt8);
    place = vector;
  }
  EntryBytes whole = allocate(kEndsAt + kEntryTexts * sizeof(uint32_t) + bytes_of(texts));
  char* const out = whole.data.get();
  std::memset(out, 0, kFrameBytes);
  std::memcpy(out, kMagic, sizeof kMagic);
  put<uint16_t>(out + kVersionAt, kEntryVersion);
  put<uint32_t>(out + kTotalAt, static_cast<uint32_t>(whole.size));
  std::memcpy(out + kCreatedAt, bytes.data() + kPackedScalarsAt, kScalarBytes);
  put<uint32_t>(out + kFieldCountAt, static_cast<uint32_t>(kEntryTexts));
  write_texts<uint32_t>(whole, kEndsAt, texts);
  put_hash(out + kChecksumAt, checksum(whole.view()));
  return whole;
}

Result<EntryView> EntryView::parse(std::string_view bytes) {
  if (bytes.size() < kFrameBytes ||
      bytes.substr(0, sizeof kMagic) != std::string_view(kMagic, sizeof kMagic)) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("entry: {} bytes without the frame of an entry", bytes.size()));
  }
  const size_t total = get<uint32_t>(bytes.data() + kTotalAt);
  if (total != bytes.size()) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("entry: {} bytes where its frame says {}", bytes.size(), total));
  }
  if (get_hash(bytes.data() + kChecksumAt) != checksum(bytes)) {
    return fail(ErrorCode::kCorrupt, "entry: the checksum does not match the bytes");
  }
  const uint16_t version = get<uint16_t>(bytes.data() + kVersionAt);
  if (version > kEntryVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("entry: format version {}, this build reads up to {}", version, kEntryVersion));
  }
  if (version == 0) return fail(ErrorCode::kCorrupt, "entry: format version 0");
  EntryView view(bytes);
  if (auto checked = view.check_fields(); !checked) return fail(std::move(checked).error());
  return view;
}

Result<void> EntryView::check_fields() const {
  if (bytes_.size() < kEndsAt || field_count() < kEntryTexts ||
      (bytes_.size() - kEndsAt) / sizeof(uint32_t) < field_count()) {
    return fail(ErrorCode::kCorrupt, "entry: the table of fields is cut or too short");
  }
  size_t start = kEndsAt + field_count() * sizeof(uint32_t);
  for (size_t i = 0; i < field_count(); ++i) {
    const size_t end = field_end(i);
    if (end < start || end > bytes_.size()) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("entry: field {} ends at {} of {}", i, end, bytes_.size()));
    }
    start = end;
  }
  if (!is_list(text(EntryText::kTags)) || !is_list(text(EntryText::kContextAnchors))) {
    return fail(ErrorCode::kCorrupt, "entry: a list is cut");
  }
  if (!is_vector(text(EntryText::kContextVector)) || !is_vector(text(EntryText::kEmbedding))) {
    return fail(ErrorCode::kCorrupt, "entry: a vector is malformed");
  }
  if (!std::isfinite(latency_ms())) return fail(ErrorCode::kCorrupt, "entry: the latency is no number");
  return {};
}

bool EntryView::is_packed() const { return bytes_[0] != kMagic[0]; }

const char* EntryView::scalar(size_t offset) const {
  return bytes_.data() + (is_packed() ? offset - kCreatedAt + kPackedScalarsAt : offset);
}

uint32_t EntryView::field_count() const {
  return is_packed() ? static_cast<uint32_t>(kEntryTexts) : get<uint32_t>(bytes_.data() + kFieldCountAt);
}

size_t EntryView::ends_at() const { return is_packed() ? kPackedEndsAt : kEndsAt; }

size_t EntryView::end_bytes() const {
  return is_packed() && (bytes_[0] & kPackedShort) != 0 ? sizeof(uint16_t) : sizeof(uint32_t);
}

uint32_t EntryView::field_end(size_t field) const {
  const char* const at = bytes_.data() + ends_at() + field * end_bytes();
  return end_bytes() == sizeof(uint16_t) ? get<uint16_t>(at) : get<uint32_t>(at);
}

namespace {

/// The field between its own end and the one before, of a table at `ends_at`.
template <typename End>
std::string_view between_ends(std::string_view bytes, size_t ends_at, size_t fields, size_t i) {
  const char* const end = bytes.data() + ends_at + i * sizeof(End);
  const size_t start = i == 0 ? ends_at + fields * sizeof(End) : get<End>(end - sizeof(End));
  return {bytes.data() + start, get<End>(end) - start};
}

}  // namespace

std::string_view EntryView::text(EntryText field) const {
  const auto i = static_cast<size_t>(field);
  if (!is_packed()) return between_ends<uint32_t>(bytes_, kEndsAt, field_count(), i);
  if ((bytes_[0] & kPackedShort) != 0) return between_ends<uint16_t>(bytes_, kPackedEndsAt, kEntryTexts, i);
  return between_ends<uint32_t>(bytes_, kPackedEndsAt, kEntryTexts, i);
}

std::vector<std::string_view> EntryView::list(EntryText field) const {
  std::vector<std::string_view> items;
  for (std::string_view rest = text(field); !rest.empty();) {
    const size_t length = get<uint32_t>(rest.data());
    items.push_back(rest.substr(sizeof(uint32_t), length));
    rest.remove_prefix(sizeof(uint32_t) + length);
  }
  return items;
}

std::vector<float> EntryView::vector(EntryText field) const { return read_vector(text(field)); }

size_t EntryView::context_turns() const { return get<uint32_t>(scalar(kContextTurnsAt)); }

EntryContext EntryView::context() const {
  EntryContext context;
  context.turns = context_turns();
  context.exact_hash = get<uint64_t>(scalar(kContextHashAt));
  context.vector = unit_vector(vector(EntryText::kContextVector));
  for (const std::string_view anchor : list(EntryText::kContextAnchors)) context.anchors.emplace_back(anchor);
  return context;
}

int64_t EntryView::created_ms() const { return get<int64_t>(scalar(kCreatedAt)); }
int64_t EntryView::expires_ms() const { return get<int64_t>(scalar(kExpiresAt)); }
uint64_t EntryView::tokens_prompt() const { return get<uint64_t>(scalar(kTokensPromptAt)); }
uint64_t EntryView::tokens_completion() const { return get<uint64_t>(scalar(kTokensCompletionAt)); }
double EntryView::latency_ms() const { return get<double>(scalar(kLatencyAt)); }
base::Hash128 EntryView::exact_key() const { return get_hash(scalar(kExactKeyAt)); }
base::Hash128 EntryView::partition() const { return get_hash(scalar(kPartitionAt)); }
bool EntryView::semantic() const { return (get<uint32_t>(scalar(kFlagsAt)) & kFlagSemantic) != 0; }

}  // namespace enhanced_gptcache::store
