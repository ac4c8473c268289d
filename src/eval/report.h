#pragma once
// Reports as JSON (names as in quality evaluation scripts: pos, hit, neg, false, auc...) and as tables for
// a terminal. Shares are between 0 and 1 in JSON and per cent in tables.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "eval/pairs.h"
#include "eval/stream.h"

namespace enhanced_gptcache::eval {

nlohmann::ordered_json to_json(const PairReport& report);
nlohmann::ordered_json to_json(const StreamReport& report);
nlohmann::ordered_json to_json(const Interval& interval);
nlohmann::ordered_json to_json(const Reliability& reliability);
nlohmann::ordered_json to_json(const Examples& examples);
/// Six decimals; what cannot be known is null.
nlohmann::ordered_json number(double value);
nlohmann::ordered_json number(const std::optional<double>& value);

std::string to_text(const PairReport& report);
std::string to_text(const StreamReport& report);
std::string to_text(const Examples& examples);

}  // namespace enhanced_gptcache::eval
