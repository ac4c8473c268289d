#pragma once
// Text made from the table: docs/settings.md and the sample files. A test holds the files of the
// repository against it; tools/gen_settings_docs.cpp writes them.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace enhanced_gptcache::config {

std::string settings_markdown();

/// config.yaml: every key with its default and its sentence, flat.
std::string sample_defaults();
/// config.prod.yaml and so on: the sections the guide shows, with the profile's values, flat.
/// `environment` is production, staging or development.
std::string sample_environment(std::string_view environment);

/// Path below the repository's root and expected text of every generated file.
std::vector<std::pair<std::string, std::string>> generated_files();

}  // namespace enhanced_gptcache::config
