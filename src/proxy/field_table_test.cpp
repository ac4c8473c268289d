#include "proxy/field_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "proxy/controls.h"

namespace enhanced_gptcache::proxy {
namespace {

std::string row_text(const FieldRow& row) {
  const char* semantic = row.semantic == SemanticRule::kNeverWhenSet  ? "unless set"
                         : row.semantic == SemanticRule::kOnlyWhenOne ? "unless 1"
                                                                      : "";
  return "| `" + std::string(row.name) + "` | " + std::string(to_string(row.use)) + " | " + semantic + " | " +
         std::string(row.reason) + " |";
}

TEST(FieldTable, IsSortedAndFound) {
  const auto rows = field_table();
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_LT(rows[i - 1].name, rows[i].name);
  for (const FieldRow& row : rows) EXPECT_EQ(find_field(row.name), &row);
  EXPECT_EQ(find_field("a_field_of_next_year"), nullptr);
  EXPECT_EQ(find_field(""), nullptr);
}

TEST(FieldTable, TheDocumentSaysTheSame) {
  std::ifstream file(EGPTC_SOURCE_DIR "/docs/exact-key.md");
  ASSERT_TRUE(file);
  std::set<std::string> documented;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("| `")) documented.insert(line);
  std::set<std::string> expected;
  for (const FieldRow& row : field_table()) expected.insert(row_text(row));
  EXPECT_EQ(documented, expected);
}

TEST(FieldTable, IgnoredFieldsAreExactlyThoseOfTheContract) {
  std::set<std::string_view> ignored;
  for (const FieldRow& row : field_table())
    if (row.use == FieldUse::kIgnored) ignored.insert(row.name);
  EXPECT_EQ(ignored, (std::set<std::string_view>{"stream", "stream_options", "user", "safety_identifier",
                                                 "metadata", "store", "service_tier", "prompt_cache_key"}));
}

}  // namespace
}  // namespace enhanced_gptcache::proxy
