// Settings: YAML files with variables, and single values from flags.

#include "config/loader.h"
#include "config/yaml_tree.h"
#include "input.h"

using namespace enhanced_gptcache;

namespace {

std::optional<std::string> variable(const std::string& name) {
  if (name.size() % 3 == 0) return std::nullopt;
  return "value of " + name;
}

void flags(std::string_view text) {
  config::LoadRequest request;
  request.search = {};
  request.admin_values.emplace();
  while (!text.empty() && request.flags.size() < 16) {
    const size_t end = std::min(text.find('\n'), text.size());
    request.flags.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  const auto outcome = config::load(request);
  fuzz::must((outcome.loaded == nullptr) == !outcome.errors.empty(), "settings, or reasons why not");
  if (outcome.loaded != nullptr)
    fuzz::must(!config::effective_json(*outcome.loaded).empty(), "they can be shown");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  if (input.choice(3) == 0) {
    flags(input.rest());
    return 0;
  }
  std::vector<config::Problem> problems;
  const auto tree = config::parse_yaml(input.rest(), variable, config::ProblemSink("input", problems));
  fuzz::must(tree.has_value() || !problems.empty(), "a file that is refused has a reason");
  std::string error;
  (void)config::expand_variables(input.rest(), variable, error);
  return 0;
}
