// Scores one pair a line ({"a": ..., "b": ...}) from standard input with the pair encoder and writes a
// logit a line to standard output. Drives tools/pair_quality.py.
//
// usage: pair_scores MODEL_DIR PAIR_FILE KERNEL PRECISION

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "enhanced_gptcache/embedder.h"

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: pair_scores MODEL_DIR PAIR_FILE KERNEL PRECISION\n");
    return 2;
  }
  enhanced_gptcache::EmbedderOptions options;
  options.model_dir = argv[1];
  options.pair_encoder_path = argv[2];
  options.kernel = argv[3];
  options.precision = argv[4];
  const auto embedder = enhanced_gptcache::Embedder::open(options);
  if (!embedder) {
    std::fprintf(stderr, "%s\n", embedder.error().message.c_str());
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto pair = nlohmann::json::parse(line, nullptr, false);
    if (!pair.is_object() || !pair.contains("a") || !pair.contains("b") || !pair["a"].is_string() ||
        !pair["b"].is_string()) {
      std::fprintf(stderr, "not an object with the strings a and b: %s\n", line.c_str());
      return 1;
    }
    const std::string first = pair["a"].get<std::string>(), second = pair["b"].get<std::string>();
    const std::string_view candidate = second;
    const auto logits = (*embedder)->pair_scores(first, {&candidate, 1});
    if (!logits) {
      std::fprintf(stderr, "%s\n", logits.error().message.c_str());
      return 1;
    }
    std::printf("%.7g\n", static_cast<double>(logits->front()));
  }
  return 0;
}
