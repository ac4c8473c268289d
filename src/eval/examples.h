#pragma once
// Near misses with what explain() says of each: the quickest way to see what a decision is like.

#include <string>
#include <vector>

#include "enhanced_gptcache/enhanced_cache.h"
#include "eval/answer.h"

namespace enhanced_gptcache::eval {

struct Example {
  std::string kind;  ///< of the row; empty in streams
  std::string asked;
  std::string stored;  ///< the question of the candidate
  Answer answer;
  Explanation explanation;
};

/// The nearest of each sort, at most `limit`, nearest first.
struct Examples {
  explicit Examples(size_t its_limit = 0) : limit(its_limit) {}
  size_t limit = 0;
  std::vector<Example> served_wrong;   ///< label 0, served
  std::vector<Example> refused_wrong;  ///< label 0, refused: near misses
  std::vector<Example> refused_right;  ///< label 1, refused: lost hits

  /// Where an answer of this kind would be shown; null when it is of no interest.
  std::vector<Example>* list_for(const Answer& answer, bool is_right);
  /// Would `answer` be among the nearest of `list`?
  bool wants(const std::vector<Example>& list, const Answer& answer) const;
  void add(std::vector<Example>& list, Example example) const;
};

}  // namespace enhanced_gptcache::eval
