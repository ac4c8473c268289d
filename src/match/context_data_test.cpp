// What the context filter does to labelled pairs of conversations, with the real model. Questions are
// not looked at here: a pair whose conversations are equivalent is still judged by its question.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "enhanced_gptcache/context_filter.h"
#include "enhanced_gptcache/embedder.h"
#include "enhanced_gptcache/enhanced_cache.h"
#include "fakes/shared_rows.h"

namespace enhanced_gptcache::match {
namespace {

using fakes::for_each_row;
using fakes::is_positive;
using fakes::text_of;

std::unique_ptr<Embedder> open_model() {
  const char* set = std::getenv("EGPTC_MODEL_DIR");
  EmbedderOptions options;
  options.model_dir = set != nullptr ? set : std::string(EGPTC_SOURCE_DIR) + "/models/all-MiniLM-L6-v2";
  if (!std::filesystem::exists(options.model_dir)) return nullptr;
  auto opened = Embedder::open(options);
  return opened ? std::move(*opened) : nullptr;
}

std::vector<Turn> conversation_of(simdjson::dom::element side) {
  std::vector<Turn> turns;
  for (const simdjson::dom::element turn : side["history"].get_array())
    turns.push_back({std::string(text_of(turn, "role")), std::string(text_of(turn, "content"))});
  return turns;
}

struct Tally {
  size_t pairs = 0;
  size_t equivalent = 0;  ///< identical, or
  size_t reworded = 0;    ///< in other words
  size_t embedded = 0;
  std::map<std::string, size_t> reasons;
};

/// As the cache asks: the outline first, the model only when that leaves it open.
ContextVerdict compare(const ContextFilter& filter, const std::vector<Turn>& a, const std::vector<Turn>& b,
                       bool& embedded) {
  const ContextVerdict first = filter.compare(filter.outline(a), filter.outline(b));
  embedded = false;
  if (first.equivalent || first.reason.find("compared") == std::string::npos) return first;
  embedded = true;
  const auto full_a = filter.fingerprint(a);
  const auto full_b = filter.fingerprint(b);
  EXPECT_TRUE(full_a && full_b);
  return filter.compare(*full_a, *full_b);
}

TEST(ContextFilterOnData, DifferentConversationsAreRefusedAndIdenticalOnesAccepted) {
  const auto model = open_model();
  if (model == nullptr) GTEST_SKIP() << "no model";
  const ContextFilter filter(ContextOptions(), model.get());
  std::map<std::string, Tally> tallies;
  for_each_row("multiturn_pairs", [&](simdjson::dom::element row) {
    bool embedded = false;
    const ContextVerdict verdict =
        compare(filter, conversation_of(row["a"]), conversation_of(row["b"]), embedded);
    Tally& kept = tallies[fmt::format("{}/{}", text_of(row, "kind"), is_positive(row) ? 1 : 0)];
    ++kept.pairs;
    kept.equivalent += verdict.equivalent ? 1 : 0;
    kept.reworded += verdict.equivalent && verdict.divergence > 0 ? 1 : 0;
    kept.embedded += embedded ? 1 : 0;
    ++kept.reasons[verdict.reason.substr(0, verdict.reason.find_first_of(": "))];
  });
  if (tallies.empty()) GTEST_SKIP() << "no shared data";
  for (const auto& [kind, kept] : tallies) {
    std::string reasons;
    for (const auto& [reason, count] : kept.reasons) reasons += fmt::format(" {}={}", reason, count);
    fmt::print("{:<44} {:>5} pairs, {:>5} equivalent, {:>4} embedded:{}\n", kind, kept.pairs, kept.equivalent,
               kept.embedded, reasons);
  }
  for (const char* kind : {"exact_repeat_same_context/1", "same_context_rewritten_q/1",
                           "same_context_crowd_paraphrase/1", "same_context_paraphrased_q_llm/1"})
    EXPECT_EQ(tallies.at(kind).equivalent, tallies.at(kind).pairs) << kind;
  // Some pairs of label 0 do have one history; there the questions must tell them apart.
  for (const auto& [kind, kept] : tallies) {
    if (!kind.ends_with("/0")) continue;
    EXPECT_EQ(kept.reworded, 0U) << kind;
  }
  EXPECT_GE(tallies.at("paraphrased_context_and_q_llm/1").equivalent, 15U);
}

/// Questions that differ in one thing, each taken as the only turn before some follow-up: if two of them
/// were equivalent, "and what does it cost?" would get the other one's answer.
TEST(ContextFilterOnData, HostileQuestionsAsConversations) {
  const auto model = open_model();
  if (model == nullptr) GTEST_SKIP() << "no model";
  const std::set<std::string_view> kinds{
      "sql_name", "sql_number",    "sql_direction",          "edit_direction", "edit_unit",
      "qqp_name", "edit_negation", "checklist_min_location", "qqp_number",     "template_entity"};
  const ContextFilter filter(ContextOptions(), model.get());
  std::map<std::string, Tally> tallies;
  for_each_row("adversarial_pairs", [&](simdjson::dom::element row) {
    if (!kinds.contains(text_of(row, "kind"))) return;
    bool embedded = false;
    const std::vector<Turn> a{{"user", std::string(text_of(row, "a"))}};
    const std::vector<Turn> b{{"user", std::string(text_of(row, "b"))}};
    Tally& kept = tallies[std::string(text_of(row, "kind"))];
    ++kept.pairs;
    kept.equivalent += compare(filter, a, b, embedded).equivalent ? 1 : 0;
    kept.embedded += embedded ? 1 : 0;
  });
  if (tallies.empty()) GTEST_SKIP() << "no shared data";
  EXPECT_EQ(tallies.size(), kinds.size());
  for (const auto& [kind, kept] : tallies) {
    fmt::print("{:<32} {:>5} pairs, {:>5} equivalent, {:>4} embedded\n", kind, kept.pairs, kept.equivalent,
               kept.embedded);
    EXPECT_LE(static_cast<double>(kept.equivalent), 0.01 * static_cast<double>(kept.pairs)) << kind;
  }
}

}  // namespace
}  // namespace enhanced_gptcache::match
