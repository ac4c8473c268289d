#include "store/entry_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "store/little_endian.h"

namespace enhanced_gptcache::store {
namespace {

using Random = std::mt19937_64;

std::string random_bytes(Random& random, size_t length_max) {
  std::string text(random() % (length_max + 1), '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

std::vector<float> random_unit_vector(Random& random, size_t dimensions) {
  std::normal_distribution<float> normal;
  std::vector<float> values(dimensions);
  float squares = 0;
  for (float& value : values) {
    value = normal(random);
    squares += value * value;
  }
  for (float& value : values) value /= std::sqrt(squares);
  return values;
}

/// Owns what an EntryFields shows.
struct Sample {
  std::array<std::string, 15> texts;
  std::vector<std::string> tags;
  EntryContext context;
  std::vector<float> embedding;
  EntryFields fields;
};

std::unique_ptr<Sample> random_sample(Random& random, size_t text_bytes_max = 80) {
  auto sample = std::make_unique<Sample>();
  for (std::string& text : sample->texts) text = random_bytes(random, text_bytes_max);
  for (size_t i = random() % 4; i > 0; --i) sample->tags.push_back(random_bytes(random, 12));
  EntryFields& f = sample->fields;
  std::string_view* const targets[] = {&f.id,        &f.tenant,        &f.name_space,  &f.model,
                                       &f.user,      &f.dialect,       &f.canonical,   &f.query,
                                       &f.text,      &f.response_json, &f.completion,  &f.subject,
                                       &f.principal, &f.model_epoch,   &f.policy_epoch};
  for (size_t i = 0; i < sample->texts.size(); ++i) *targets[i] = sample->texts[i];
  f.tags = sample->tags;
  f.created_ms = static_cast<int64_t>(random());
  f.expires_ms = static_cast<int64_t>(random());
  f.tokens_prompt = random();
  f.tokens_completion = random();
  f.latency_ms = static_cast<double>(random() % 100000) / 7;
  f.exact_key = {random(), random()};
  f.partition = {random(), random()};
  f.semantic = random() % 2 == 0;
  f.vector_form = random() % 2 == 0 ? VectorForm::kFloat32 : VectorForm::kInt8;
  if (random() % 2 == 0) {
    sample->context = {random() % 9, random(), random_unit_vector(random, 16), {"12", "not"}};
    f.context = &sample->context;
  }
  if (random() % 4 != 0) sample->embedding = random_unit_vector(random, 1 + random() % 40);
  f.embedding = sample->embedding;
  return sample;
}

void expect_texts_equal(const EntryView& view, const Sample& sample) {
  for (size_t i = 0; i < sample.texts.size(); ++i)
    EXPECT_EQ(view.text(static_cast<EntryText>(i)), sample.texts[i]);
  const auto tags = view.list(EntryText::kTags);
  ASSERT_EQ(tags.size(), sample.tags.size());
  for (size_t i = 0; i < tags.size(); ++i) EXPECT_EQ(tags[i], sample.tags[i]);
}

void expect_scalars_equal(const EntryView& view, const EntryFields& f) {
  EXPECT_EQ(view.created_ms(), f.created_ms);
  EXPECT_EQ(view.expires_ms(), f.expires_ms);
  EXPECT_EQ(view.tokens_prompt(), f.tokens_prompt);
  EXPECT_EQ(view.tokens_completion(), f.tokens_completion);
  EXPECT_EQ(view.latency_ms(), f.latency_ms);
  EXPECT_EQ(view.exact_key(), f.exact_key);
  EXPECT_EQ(view.partition(), f.partition);
  EXPECT_EQ(view.semantic(), f.semantic);
}

void expect_near(std::span<const float> got, std::span<const float> want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance);
}

/// Puts the right checksum under changed bytes, as a hostile or newer writer would.
void reseal(std::string& bytes) {
  const auto sum =
      base::keyed_hash(base::SecretKey{}, "entry-bytes",
                       {std::string_view(bytes).substr(0, 16), std::string_view(bytes).substr(32)});
  put<uint64_t>(bytes.data() + 16, sum.high);
  put<uint64_t>(bytes.data() + 24, sum.low);
}

TEST(EntryCodec, ReturnsEveryFieldItWasGiven) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const auto sample = random_sample(random);
    auto bytes = encode_entry(sample->fields);
    ASSERT_TRUE(bytes);
    auto view = EntryView::parse(bytes->view());
    ASSERT_TRUE(view) << view.error().message;
    expect_texts_equal(*view, *sample);
    expect_scalars_equal(*view, sample->fields);
    expect_near(view->vector(EntryText::kEmbedding), sample->embedding, 0.005F);
    const EntryContext context = view->context();
    EXPECT_EQ(context.turns, sample->context.turns);
    EXPECT_EQ(context.exact_hash, sample->context.exact_hash);
    EXPECT_EQ(context.anchors, sample->context.anchors);
    expect_near(context.vector, sample->context.vector, 0.005F);
  }
}

TEST(EntryCodec, EqualFieldsGiveEqualBytes) {
  Random random(2);
  const auto sample = random_sample(random);
  EXPECT_EQ(encode_entry(sample->fields)->view(), encode_entry(sample->fields)->view());
}

TEST(EntryCodec, EveryCutIsCorrupt) {
  Random random(3);
  for (int round = 0; round < 5; ++round) {
    const auto sample = random_sample(random);
    const auto bytes = encode_entry(sample->fields);
    for (size_t length = 0; length < bytes->size; ++length) {
      // A copy of exactly this length, so that a sanitizer sees any read behind it.
      const std::vector<char> cut(bytes->data.get(), bytes->data.get() + length);
      const auto view = EntryView::parse({cut.data(), cut.size()});
      ASSERT_FALSE(view);
      ASSERT_EQ(view.error().code, ErrorCode::kCorrupt) << length;
    }
    EXPECT_FALSE(EntryView::parse(std::string(bytes->view()) + "x"));
  }
}

TEST(EntryCodec, EveryFlippedBitIsCorrupt) {
  Random random(4);
  const auto sample = random_sample(random, 10);
  std::string bytes(encode_entry(sample->fields)->view());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto view = EntryView::parse(bytes);
    ASSERT_FALSE(view) << bit;
    ASSERT_EQ(view.error().code, ErrorCode::kCorrupt) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

// With the checksum made right again the ends, lists and vectors themselves must hold out.
TEST(EntryCodec, ResealedNonsenseIsRefusedOrReadInBounds) {
  Random random(5);
  size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto sample = random_sample(random, 20);
    std::string bytes(encode_entry(sample->fields)->view());
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      bytes[32 + random() % (bytes.size() - 32)] = static_cast<char>(random());
    }
    reseal(bytes);
    const std::vector<char> exact(bytes.begin(), bytes.end());
    const auto view = EntryView::parse({exact.data(), exact.size()});
    if (!view) {
      ++refused;
      ASSERT_EQ(view.error().code, ErrorCode::kCorrupt);
      continue;
    }
    size_t read = 0;
    for (size_t i = 0; i < kEntryTexts; ++i) read += view->text(static_cast<EntryText>(i)).size();
    EXPECT_LE(read, exact.size());
    view->context();
    view->vector(EntryText::kEmbedding);
    view->list(EntryText::kTags);
  }
  EXPECT_GT(refused, 1000U);
}

TEST(EntryCodec, NewerVersionIsUnsupportedNotCorrupt) {
  Random random(6);
  std::string bytes(encode_entry(random_sample(random)->fields)->view());
  put<uint16_t>(bytes.data() + 4, kEntryVersion + 1);
  reseal(bytes);
  EXPECT_EQ(EntryView::parse(bytes).error().code, ErrorCode::kUnsupported);
  put<uint16_t>(bytes.data() + 4, 0);
  reseal(bytes);
  EXPECT_EQ(EntryView::parse(bytes).error().code, ErrorCode::kCorrupt);
}

// The forward rule of docs/formats.md: fields appended by a later writer of the same version are skipped.
TEST(EntryCodec, AppendedFieldsAreSkipped) {
  Random random(7);
  const auto sample = random_sample(random);
  const std::string old_bytes(encode_entry(sample->fields)->view());
  constexpr size_t kTableAt = 124;
  const size_t data_at = kTableAt + kEntryTexts * 4;
  std::string bytes = old_bytes.substr(0, kTableAt);
  for (size_t i = 0; i < kEntryTexts; ++i) {
    char end[4];
    put<uint32_t>(end, get<uint32_t>(old_bytes.data() + kTableAt + i * 4) + 4);
    bytes.append(end, 4);
  }
  char last[4];
  put<uint32_t>(last, static_cast<uint32_t>(old_bytes.size() + 4 + 3));
  bytes.append(last, 4);
  bytes += old_bytes.substr(data_at) + "new";
  put<uint32_t>(bytes.data() + 8, static_cast<uint32_t>(bytes.size()));
  put<uint32_t>(bytes.data() + 120, static_cast<uint32_t>(kEntryTexts + 1));
  reseal(bytes);
  const auto view = EntryView::parse(bytes);
  ASSERT_TRUE(view) << view.error().message;
  expect_texts_equal(*view, *sample);
  put<uint32_t>(bytes.data() + 120, static_cast<uint32_t>(kEntryTexts - 1));
  reseal(bytes);
  EXPECT_EQ(EntryView::parse(bytes).error().code, ErrorCode::kCorrupt);
}

TEST(VectorForms, Int8KeepsTheDirection) {
  Random random(8);
  for (int round = 0; round < 100; ++round) {
    const auto values = random_unit_vector(random, 384);
    const auto back = round_trip(values, VectorForm::kInt8);
    double cosine = 0;
    double squares = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      cosine += static_cast<double>(values[i]) * back[i];
      squares += static_cast<double>(back[i]) * back[i];
    }
    EXPECT_GT(cosine, 0.9999);
    EXPECT_NEAR(squares, 1.0, 1e-5);
  }
}

TEST(VectorForms, ZeroAndEmptyVectorsSurvive) {
  EXPECT_TRUE(round_trip({}, VectorForm::kInt8).empty());
  const std::vector<float> zeros(5, 0.0F);
  EXPECT_EQ(round_trip(zeros, VectorForm::kInt8), zeros);
  EXPECT_EQ(round_trip(zeros, VectorForm::kFloat32), zeros);
}

TEST(VectorForms, NumbersThatAreNoneAreCorrupt) {
  EntryFields fields;
  const std::vector<float> bad = {1.0F, std::nanf(""), 0.0F};
  fields.embedding = bad;
  fields.vector_form = VectorForm::kFloat32;
  EXPECT_EQ(EntryView::parse(encode_entry(fields)->view()).error().code, ErrorCode::kCorrupt);
  fields.embedding = {};
  fields.latency_ms = std::nan("");
  EXPECT_EQ(EntryView::parse(encode_entry(fields)->view()).error().code, ErrorCode::kCorrupt);
}

TEST(EntryCodec, TheFormForMemoryReadsTheSameAndGoesBack) {
  Random random(21);
  for (int i = 0; i < 500; ++i) {
    const auto sample = random_sample(random);
    sample->fields.vector_form = VectorForm::kInt8;
    const EntryBytes whole = encode_entry(sample->fields).value();
    const EntryView before = EntryView::trusted(whole.view());
    const EntryBytes packed = pack_entry(whole.view(), "another epoch", false);
    ASSERT_LT(packed.size, whole.size);
    const EntryView in_memory = EntryView::trusted(packed.view());
    expect_texts_equal(in_memory, *sample);
    expect_scalars_equal(in_memory, sample->fields);
    EXPECT_EQ(in_memory.vector(EntryText::kEmbedding), before.vector(EntryText::kEmbedding));
    EXPECT_EQ(unpack_entry(packed.view(), "another epoch", {}).view(), whole.view());
    EXPECT_EQ(unpack_entry(whole.view(), "another epoch", {}).view(), whole.view());
  }
}

TEST(EntryCodec, WhatOthersKnowGoesAndComesBack) {
  Random random(22);
  for (int i = 0; i < 500; ++i) {
    const auto sample = random_sample(random);
    sample->fields.vector_form = VectorForm::kInt8;
    const EntryBytes whole = encode_entry(sample->fields).value();
    const EntryView before = EntryView::trusted(whole.view());
    const std::string epoch(before.text(EntryText::kModelEpoch));
    const EntryBytes packed = pack_entry(whole.view(), epoch, true);
    const EntryView in_memory = EntryView::trusted(packed.view());
    EXPECT_TRUE(in_memory.text(EntryText::kEmbedding).empty());
    EXPECT_TRUE(in_memory.text(EntryText::kModelEpoch).empty());
    EXPECT_EQ(in_memory.text(EntryText::kCanonical), before.text(EntryText::kCanonical));
    expect_scalars_equal(in_memory, sample->fields);
    const EntryBytes again = unpack_entry(packed.view(), epoch, before.vector(EntryText::kEmbedding));
    const auto after = EntryView::parse(again.view());
    ASSERT_TRUE(after);
    expect_texts_equal(*after, *sample);
    // All but the scale, which may differ in its last bit.
    ASSERT_EQ(again.size, whole.size);
    if (!sample->embedding.empty()) {
      EXPECT_EQ(after->text(EntryText::kEmbedding).substr(9), before.text(EntryText::kEmbedding).substr(9));
    }
  }
}

TEST(EntryCodec, LongEntriesArePackedToo) {
  Random random(23);
  const auto sample = random_sample(random);
  const std::string text(100'000, 'x');
  for (const size_t length : {size_t{64'000}, size_t{65'535}, size_t{100'000}}) {
    sample->fields.text = std::string_view(text).substr(0, length);
    const EntryBytes whole = encode_entry(sample->fields).value();
    const EntryBytes packed = pack_entry(whole.view(), "", false);
    EXPECT_EQ(EntryView::trusted(packed.view()).text(EntryText::kText), sample->fields.text);
    EXPECT_EQ(unpack_entry(packed.view(), "", {}).view(), whole.view());
  }
}

TEST(EntryCodec, AnEntryWithFieldsOfALaterWriterStaysWhole) {
  Random random(24);
  EntryBytes bytes = encode_entry(random_sample(random)->fields).value();
  put<uint32_t>(bytes.data.get() + 120, static_cast<uint32_t>(kEntryTexts + 1));
  EXPECT_EQ(pack_entry(bytes.view(), "", true).data, nullptr);
}

}  // namespace
}  // namespace enhanced_gptcache::store
