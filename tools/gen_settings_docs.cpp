// Writes docs/settings.md, config.yaml and the three environment files from the settings table:
// egptc_gen_settings_docs [REPOSITORY_ROOT]. The unit test of src/config fails while they are stale.

#include <cstdio>
#include <fstream>
#include <string>

#include "config/settings_docs.h"

int main(int argc, char** argv) {
  const std::string root = argc > 1 ? argv[1] : EGPTC_SOURCE_DIR;
  for (const auto& [path, text] : enhanced_gptcache::config::generated_files()) {
    const std::string target = root + "/" + path;
    std::ofstream file(target, std::ios::binary | std::ios::trunc);
    file << text;
    file.close();
    if (!file) {
      std::fprintf(stderr, "cannot write %s\n", target.c_str());
      return 1;
    }
    std::printf("%s\n", target.c_str());
  }
  return 0;
}
