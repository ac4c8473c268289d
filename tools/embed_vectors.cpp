// Embeds one text a line (JSON strings, so that a text may hold line breaks) from standard input and
// writes the vectors as raw float32 rows to standard output. Drives tools/embed_quality.py.
//
// usage: embed_vectors MODEL_DIR KERNEL PRECISION [PACKED_PATH]

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "enhanced_gptcache/embedder.h"

namespace {

constexpr size_t kBatchTexts = 16;

bool write_vectors(const enhanced_gptcache::Embedder& embedder, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto embeddings = embedder.embed_batch(views);
  if (!embeddings) {
    std::fprintf(stderr, "%s\n", embeddings.error().message.c_str());
    return false;
  }
  for (const auto& embedding : *embeddings) {
    std::fwrite(embedding.values.data(), sizeof(float), embedding.values.size(), stdout);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: embed_vectors MODEL_DIR KERNEL PRECISION [PACKED_PATH]\n");
    return 2;
  }
  enhanced_gptcache::EmbedderOptions options;
  options.model_dir = argv[1];
  options.kernel = argv[2];
  options.precision = argv[3];
  if (argc == 5) options.packed_path = argv[4];
  const auto embedder = enhanced_gptcache::Embedder::open(options);
  if (!embedder) {
    std::fprintf(stderr, "%s\n", embedder.error().message.c_str());
    return 1;
  }
  std::vector<std::string> texts;
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto text = nlohmann::json::parse(line, nullptr, false);
    if (!text.is_string()) {
      std::fprintf(stderr, "not a JSON string: %s\n", line.c_str());
      return 1;
    }
    texts.push_back(text.get<std::string>());
    if (texts.size() < kBatchTexts) continue;
    if (!write_vectors(**embedder, texts)) return 1;
    texts.clear();
  }
  return texts.empty() || write_vectors(**embedder, texts) ? 0 : 1;
}
