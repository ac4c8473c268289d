#pragma once
// What a settings file says, in its flat or its nested form, put into Settings.

#include <functional>
#include <string>
#include <vector>

#include "config/node.h"
#include "config/problem.h"
#include "config/settings.h"

namespace enhanced_gptcache::config {

/// Called for each key the file gives, in order; later ones win.
using KeySeen = std::function<void(size_t key_index, int line)>;

/// Checks the whole document for `environment` (production, staging, development) and assigns what it
/// says. Nested form: staging and development lie over the file's production section.
void apply_file(const Node& root, const std::string& environment, Settings& settings, const ProblemSink& sink,
                const KeySeen& seen);

bool is_environment(std::string_view name);

}  // namespace enhanced_gptcache::config
