#pragma once
// The hash of a model's weights, remembered beside the packed file: reading and hashing 90 MB takes a tenth
// of a second, and a start with packed weights needs nothing else of them.

#include <cstdint>
#include <functional>
#include <string>

#include "base/keyed_hash.h"

namespace enhanced_gptcache::embed {

/// The hash of the file `weights`, from `memo` if that was written for the very same file, else from
/// `compute`. The same means device, inode, size, time of the last write and time of the last change of the
/// inode, which no program can set back. A memo that is absent, damaged or of another file is written anew,
/// under a temporary name first; one that cannot be written costs the next start the time. A file that
/// changed within two seconds before `now_seconds` (wall clock) is not remembered: the clock of a file system
/// is coarse. Any thread.
base::Hash128 remembered_hash(const std::string& weights, const std::string& memo, int64_t now_seconds,
                              const std::function<base::Hash128()>& compute);

}  // namespace enhanced_gptcache::embed
