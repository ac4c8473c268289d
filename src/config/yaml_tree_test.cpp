#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace enhanced_gptcache::config {
namespace {

using ::testing::HasSubstr;

std::optional<Node> parse(const std::string& text, std::vector<Problem>& problems) {
  return parse_yaml(text, nullptr, ProblemSink("f", problems));
}

TEST(YamlTree, KeepsKindsAndLines) {
  std::vector<Problem> problems;
  const auto root = parse("a: 1\nb:\n  - x\n  - {c: d}\ne:\nf: \"\"\n", problems);
  ASSERT_TRUE(root);
  ASSERT_EQ(root->fields.size(), 4U);
  EXPECT_EQ(root->fields[0].second.text, "1");
  EXPECT_EQ(root->fields[0].second.line, 1);
  const Node& list = root->fields[1].second;
  EXPECT_EQ(list.kind, Node::Kind::kList);
  EXPECT_EQ(list.items[0].line, 3);
  EXPECT_EQ(list.items[1].fields[0].first, "c");
  EXPECT_EQ(root->fields[2].second.kind, Node::Kind::kNull);
  EXPECT_EQ(root->fields[2].second.line, 5);
  EXPECT_EQ(root->fields[3].second.kind, Node::Kind::kScalar);
}

TEST(YamlTree, RefusesWhatIsNoSettingsFile) {
  std::string aliases = "a: &a [1,1,1,1,1,1,1,1,1,1]\n";
  for (char c = 'b'; c < 'j'; ++c)
    aliases += fmt::format("{0}: &{0} [*{1},*{1},*{1},*{1},*{1}]\n", c, char(c - 1));
  const struct {
    std::string text;
    const char* message;
  } cases[] = {
      {"a: [", "not readable as YAML"},
      {"a: 1\n---\nb: 2\n", "a second document"},
      {"a: 1\na: 2\n", "given twice"},
      {"? [x]\n: 1\n", "a key must be a plain name"},
      {std::string(kFileBytesMax + 1, ' '), "larger than"},
      {aliases, "too large"},
      {"a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n", "too large"},
      {"a: *nowhere\n", "not readable as YAML"},
      {"a: &x [*x]\n", "an alias to something it is part of"},
      {"a: 1\n]\n", "not readable as YAML"},
      {",\n# c\n", "a second document, or text after the end"},
      {"--- 1\n--- 2\n", "a second document"},
  };
  for (const auto& item : cases) {
    std::vector<Problem> problems;
    parse(item.text, problems);
    ASSERT_EQ(problems.size(), 1U) << item.message;
    EXPECT_THAT(problems[0].message, HasSubstr(item.message));
  }
}

TEST(YamlTree, EveryTruncationIsReadOrRefused) {
  const std::string text = "cache: {size_mb: 5, x: \"q\\n\"}\nb:\n  - &l ${V}\n  - *l\nc: 'it''s'\n";
  for (size_t length = 0; length <= text.size(); ++length) {
    std::vector<Problem> problems;
    const auto root = parse(text.substr(0, length), problems);
    EXPECT_TRUE(root.has_value() || !problems.empty());
  }
}

TEST(YamlTree, EmptyAndTrailingDocuments) {
  std::vector<Problem> problems;
  EXPECT_EQ(parse("", problems)->kind, Node::Kind::kNull);
  EXPECT_EQ(parse("# only a comment\n", problems)->kind, Node::Kind::kNull);
  EXPECT_EQ(parse("---\na: 1\n---\n", problems)->kind, Node::Kind::kMap);
  EXPECT_TRUE(problems.empty());
}

TEST(ExpandVariables, Cases) {
  const std::map<std::string, std::string> values = {{"A", "one"}, {"EMPTY", ""}, {"B_2", "${A}"}};
  const Variables variables = [&](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
  const struct {
    const char* text;
    const char* expected;  // null: an error
  } cases[] = {
      {"plain $5 $x", "plain $5 $x"},
      {"${A}", "one"},
      {"<${A}${A}>", "<oneone>"},
      {"$${A}", "${A}"},
      {"${EMPTY}", ""},
      {"${EMPTY:-d}", "d"},
      {"${NO:-}", ""},
      {"${NO:-a:b}", "a:b"},
      {"${B_2}", "${A}"},
      {"$", "$"},
      {"${NO}", nullptr},
      {"${A", nullptr},
      {"${}", nullptr},
      {"${A-B}", nullptr},
      {"$$", "$$"},
  };
  for (const auto& item : cases) {
    std::string error;
    const auto result = expand_variables(item.text, variables, error);
    EXPECT_EQ(result.has_value(), item.expected != nullptr) << item.text;
    EXPECT_EQ(result.has_value(), error.empty()) << item.text;
    if (result && item.expected != nullptr) {
      EXPECT_EQ(*result, item.expected);
    }
  }
}

TEST(Problem, TextIsOneShortLine) {
  const Problem problem{"f:1", 1, "a.b", "x\ny" + std::string(200, 'z'), "is wrong"};
  EXPECT_THAT(problem.text(), HasSubstr("f:1: a.b: is wrong (got \"x\\x0ay"));
  EXPECT_LT(problem.text().size(), 130U);
}

}  // namespace
}  // namespace enhanced_gptcache::config
