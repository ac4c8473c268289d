#include "eval/examples.h"

#include <algorithm>

namespace enhanced_gptcache::eval {

std::vector<Example>* Examples::list_for(const Answer& answer, bool is_right) {
  if (!answer.has_candidate || (answer.is_hit && is_right)) return nullptr;
  if (answer.is_hit) return &served_wrong;
  return is_right ? &refused_right : &refused_wrong;
}

bool Examples::wants(const std::vector<Example>& list, const Answer& answer) const {
  return limit > 0 && (list.size() < limit || answer.similarity > list.back().answer.similarity);
}

void Examples::add(std::vector<Example>& list, Example example) const {
  const auto place = std::find_if(list.begin(), list.end(), [&](const Example& other) {
    return other.answer.similarity < example.answer.similarity;
  });
  list.insert(place, std::move(example));
  if (list.size() > limit) list.pop_back();
}

}  // namespace enhanced_gptcache::eval
