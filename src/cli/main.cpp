// enhanced-gptcache: the last place an exception could reach.

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/commands.h"

int main(int argc, char** argv) {
  try {
    return enhanced_gptcache::cli::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "enhanced-gptcache: unexpected failure: %s\n", error.what());
    return 1;
  }
}
