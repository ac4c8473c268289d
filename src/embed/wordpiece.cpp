#include "embed/wordpiece.h"

#include <algorithm>

namespace enhanced_gptcache::embed {
namespace {

// Scratch above this size is given back after a text, so that one huge prompt does not stay in
// every worker thread.
constexpr size_t kScratchKeptBytes = 1 << 20;

enum ByteClass : uint8_t { kWordByte, kSpaceByte, kPunctuationByte, kWideByte };

std::array<uint8_t, 256> make_byte_classes() {
  std::array<uint8_t, 256> classes{};
  const CharTable& table = CharTable::instance();
  for (size_t c = 0; c < 256; ++c) {
    const uint8_t flags = table[static_cast<char32_t>(c)].flags;
    if (c >= 0x80) {
      classes[c] = kWideByte;
    } else if ((flags & kCharSpace) != 0) {
      classes[c] = kSpaceByte;
    } else if ((flags & kCharPunctuation) != 0) {
      classes[c] = kPunctuationByte;
    }
  }
  return classes;
}

const std::array<uint8_t, 256>& byte_classes() {
  static const std::array<uint8_t, 256> classes = make_byte_classes();
  return classes;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Class of the character at p, and past it where it ends.
uint8_t classify(const CharTable& table, const std::array<uint8_t, 256>& classes, const unsigned char*& p,
                 const unsigned char* end) {
  const uint8_t byte_class = classes[*p];
  if (byte_class != kWideByte) {
    ++p;
    return byte_class;
  }
  const uint8_t flags = table[decode_utf8(p, end)].flags;
  if ((flags & kCharSpace) != 0) return kSpaceByte;
  return (flags & kCharPunctuation) != 0 ? kPunctuationByte : kWordByte;
}

bool is_space_at(const CharTable& table, const unsigned char*& p, const unsigned char* end) {
  return (table[decode_utf8(p, end)].flags & kCharSpace) != 0;
}

// Start of the white space that ends text[0, end).
size_t space_begin(const CharTable& table, std::string_view text, size_t end) {
  const unsigned char* const first = bytes_of(text);
  size_t begin = end;
  while (begin > 0) {
    size_t start = begin - 1;
    while (start > 0 && begin - start < 4 && (first[start] & 0xC0) == 0x80) --start;
    const unsigned char* p = first + start;
    if (!is_space_at(table, p, first + begin) || p != first + begin) break;
    begin = start;
  }
  return begin;
}

// End of the white space that starts at text[begin].
size_t space_end(const CharTable& table, std::string_view text, size_t begin) {
  const unsigned char* const first = bytes_of(text);
  const unsigned char* const last = first + text.size();
  const unsigned char* p = first + begin;
  while (p < last) {
    const unsigned char* next = p;
    if (!is_space_at(table, next, last)) break;
    p = next;
  }
  return static_cast<size_t>(p - first);
}

bool has_more_chars(std::string_view word, size_t chars_max) {
  if (word.size() <= chars_max) return false;
  const auto chars = std::count_if(word.begin(), word.end(),
                                   [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
  return static_cast<size_t>(chars) > chars_max;
}

}  // namespace

std::string_view next_word(const CharTable& table, std::string_view normalized, size_t& position) {
  const std::array<uint8_t, 256>& classes = byte_classes();
  const unsigned char* const first = bytes_of(normalized);
  const unsigned char* const end = first + normalized.size();
  const unsigned char* p = first + position;
  const unsigned char* begin = nullptr;
  while (p < end) {
    const unsigned char* const at = p;
    const uint8_t kind = classify(table, classes, p, end);
    if (kind == kWordByte) {
      if (begin == nullptr) begin = at;
      continue;
    }
    if (begin != nullptr) {  // the word ends before this character, which is looked at again next time
      position = static_cast<size_t>(at - first);
      return normalized.substr(static_cast<size_t>(begin - first), static_cast<size_t>(at - begin));
    }
    if (kind == kPunctuationByte) {
      position = static_cast<size_t>(p - first);
      return normalized.substr(static_cast<size_t>(at - first), static_cast<size_t>(p - at));
    }
  }
  position = normalized.size();
  if (begin == nullptr) return {};
  return normalized.substr(static_cast<size_t>(begin - first), static_cast<size_t>(end - begin));
}

void WordPieceModel::AddedSet::build() {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < tokens.size(); ++i) {
    entries.emplace_back(tokens[i].content, static_cast<int32_t>(i));
    starts[static_cast<unsigned char>(tokens[i].content.front())] = true;
  }
  trie = WordPieceTrie(std::move(entries));
}

WordPieceModel::WordPieceModel(WordPieceSpec spec)
    : table_(CharTable::instance()),
      normalizer_(spec.normalizer),
      word_chars_max_(spec.word_chars_max),
      unk_id_(spec.unk_id),
      cls_id_(spec.cls_id),
      sep_id_(spec.sep_id),
      pad_id_(spec.pad_id) {
  int32_t largest = std::max({unk_id_, cls_id_, sep_id_, pad_id_});
  std::vector<std::pair<std::string_view, int32_t>> entries;
  entries.reserve(spec.vocab.size());
  const size_t bytes_max = 4 * word_chars_max_ + spec.continuation_prefix.size();
  for (const auto& [token, id] : spec.vocab) {
    largest = std::max(largest, id);
    if (token.size() <= bytes_max) entries.emplace_back(token, id);  // a longer one can never match
  }
  trie_ = WordPieceTrie(std::move(entries));
  continuation_root_ = trie_.walk(WordPieceTrie::kRoot, spec.continuation_prefix);
  for (AddedToken& token : spec.added) {
    if (token.normalized) {
      std::string normal_form;
      normalizer_.append(token.content, normal_form);
      token.content = std::move(normal_form);
    }
    if (token.content.empty()) continue;
    largest = std::max(largest, token.id);
    (token.normalized ? added_normalized_ : added_raw_).tokens.push_back(std::move(token));
  }
  added_raw_.build();
  added_normalized_.build();
  id_limit_ = static_cast<size_t>(largest) + 1;
}

WordPieceModel::Found WordPieceModel::find_added(const AddedSet& set, std::string_view text,
                                                 size_t from) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!set.starts[static_cast<unsigned char>(text[i])]) continue;
    const WordPieceTrie::Match match = set.trie.longest(WordPieceTrie::kRoot, text.substr(i));
    if (match.id >= 0) return {&set.tokens[static_cast<size_t>(match.id)], i, i + match.length_bytes};
  }
  return {};
}

template <typename OnText>
void WordPieceModel::split_added(const AddedSet& set, std::string_view text, std::vector<int32_t>& ids,
                                 OnText on_text) const {
  if (set.tokens.empty()) return on_text(text);
  size_t done = 0;  // text before here is encoded
  size_t from = 0;  // tokens are looked for from here
  while (true) {
    const Found found = find_added(set, text, from);
    if (found.token == nullptr) break;
    from = found.end;
    size_t begin = found.begin;
    size_t end = found.end;
    if (found.token->left_strip) begin = std::max(space_begin(table_, text, begin), done);
    if (found.token->right_strip) end = space_end(table_, text, end);
    if (begin > done) on_text(text.substr(done, begin - done));
    ids.push_back(found.token->id);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done));
}

void WordPieceModel::encode(std::string_view text, std::vector<int32_t>& ids) const {
  split_added(added_raw_, text, ids, [&](std::string_view part) { encode_raw(part, ids); });
}

void WordPieceModel::encode_raw(std::string_view text, std::vector<int32_t>& ids) const {
  static thread_local std::string normalized;
  normalized.clear();
  normalizer_.append(text, normalized);
  split_added(added_normalized_, normalized, ids,
              [&](std::string_view part) { encode_normalized(part, ids); });
  if (normalized.capacity() > kScratchKeptBytes) normalized = {};
}

void WordPieceModel::encode_normalized(std::string_view text, std::vector<int32_t>& ids) const {
  size_t position = 0;
  while (true) {
    const std::string_view word = next_word(table_, text, position);
    if (word.empty()) return;
    encode_word(word, ids);
  }
}

void WordPieceModel::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  if (has_more_chars(word, word_chars_max_)) return ids.push_back(unk_id_);
  const size_t before = ids.size();
  uint32_t root = WordPieceTrie::kRoot;
  while (!word.empty()) {
    const WordPieceTrie::Match match =
        root == WordPieceTrie::kNone ? WordPieceTrie::Match{} : trie_.longest(root, word);
    if (match.id < 0) {  // a word with a part that is in no entry is wholly unknown
      ids.resize(before);
      ids.push_back(unk_id_);
      return;
    }
    ids.push_back(match.id);
    word.remove_prefix(match.length_bytes);
    root = continuation_root_;
  }
}

}  // namespace enhanced_gptcache::embed
