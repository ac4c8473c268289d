// The lexical features of question pairs, for tools/train_verifier.py: what the server computes and
// nothing else. Reads JSON lines {"a": ..., "b": ..., "cosine"?: ...,
// "next"?: cosine of the nearest other entry, "history"?: [texts]} from standard input, writes one
// line of tab-separated numbers for each; the first line names the columns.

#include "match/pair_features.h"

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace match = enhanced_gptcache::match;

int main() {
  for (size_t i = 0; i < match::kPairFeatureCount; ++i) {
    std::printf("%s%s", i == 0 ? "" : "\t", std::string(match::pair_feature_name(i)).c_str());
  }
  std::printf("\n");
  std::string line;
  for (size_t number = 1; std::getline(std::cin, line); ++number) {
    const nlohmann::json row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("a") || !row.contains("b")) {
      std::fprintf(stderr, "pair_features: line %zu is no object with a and b\n", number);
      return 1;
    }
    const match::Words a(row["a"].get_ref<const std::string&>());
    const match::Words b(row["b"].get_ref<const std::string&>());
    const double cosine = row.value("cosine", 0.0);
    match::PairFeatures features = match::pair_features(a, b, cosine);
    features[static_cast<size_t>(match::PairFeature::kMargin)] =
        match::margin_over(cosine, row.value("next", 0.0));
    if (row.contains("history")) {
      std::vector<std::string_view> turns;
      for (const auto& turn : row["history"]) turns.push_back(turn.get_ref<const std::string&>());
      match::fill_history(a, b, match::History(turns), features);
    }
    for (size_t i = 0; i < features.size(); ++i) {
      std::printf("%s%.6g", i == 0 ? "" : "\t", static_cast<double>(features[i]));
    }
    std::printf("\n");
  }
}
