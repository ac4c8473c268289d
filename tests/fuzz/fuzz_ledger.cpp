// The erasure ledger as it lies on disk. The chain of checksums is put right three times out of four, so that
// the fields behind it are reached; an erasure begun on top of whatever was read must be there afterwards.

#include "input.h"
#include "memory_file.h"
#include "vault/erasure_ledger.h"

using namespace enhanced_gptcache;

namespace {

constexpr base::SecretKey kKey{};
constexpr size_t kLinesMax = 64;

/// Each line of `content`, with the check that belongs to it.
std::string put_right(std::string_view content) {
  std::string out, last;
  for (size_t lines = 0; !content.empty() && lines < kLinesMax; ++lines) {
    const size_t end = std::min(content.find('\n'), content.size());
    const std::string_view line = content.substr(0, end);
    last = base::keyed_hash(kKey, "erasure ledger", {last, line}).hex();
    out.append(line).append(" ").append(last).append("\n");
    content.remove_prefix(std::min(end + 1, content.size()));
  }
  return out;
}

void use(const std::string& path) {
  const auto opened = vault::ErasureLedger::open(path, kKey);
  if (!opened) {
    fuzz::must(!opened.error().message.empty(), "a refusal says why");
    return;
  }
  vault::ErasureLedger& ledger = **opened;
  const size_t before = ledger.all().size();
  fuzz::must(ledger.pending().size() <= before, "what is pending was begun");
  for (const vault::Erasure& one : ledger.all())
    fuzz::must(ledger.covers(one.subject, one.name_space.value_or(base::Hash128{}), one.time_ms),
               "an erasure that was read holds");
  vault::Erasure wanted;
  wanted.time_ms = 1'700'000'000'000;
  wanted.subject = {7, 9};
  const auto begun = ledger.begin(wanted);
  fuzz::must(begun.has_value(), "an erasure can be begun");
  fuzz::must(ledger.finish(begun->sequence, 3).has_value(), "and finished");
  fuzz::must(ledger.note_replay().has_value(), "and replayed");

  const auto again = vault::ErasureLedger::open(path, kKey);
  fuzz::must(again.has_value(), "what was written can be read");
  fuzz::must((*again)->all().size() == before + 1, "nothing was lost or added");
  fuzz::must((*again)->damaged() == ledger.damaged(), "nothing more is damaged");
  fuzz::must((*again)->covers({7, 9}, {}, wanted.time_ms), "the erasure holds after a restart");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  fuzz::silence_log();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const bool is_mended = input.choice(4) != 0;
  const fuzz::MemoryFile file(is_mended ? put_right(input.rest()) : std::string(input.rest()));
  use(file.path());
  return 0;
}
