// Backups as somebody may have changed them: the archive, its metadata, and the sealed stream around it.

#include <cstring>

#include "backup/archive.h"
#include "backup/metadata.h"
#include "input.h"
#include "memory_file.h"
#include "vault/sealed_stream.h"

using namespace enhanced_gptcache;

namespace {

const std::shared_ptr<const vault::KeyRing>& ring() {
  static const auto made = vault::parse_keys(std::string(64, 'a'), "fuzz").value();
  return made;
}

void read_as_archive(std::string_view bytes) {
  const fuzz::MemoryFile file(bytes);
  size_t total = 0;
  const auto done = backup::read_archive(file.path(), ring(), [&](const backup::ArchivePiece& piece) {
    fuzz::must(!piece.name.empty() && piece.name.front() != '/' && !piece.name.starts_with("../") &&
                   piece.name.find("/../") == std::string::npos && !piece.name.ends_with("/.."),
               "names stay below their folder");
    total += piece.piece.size();
    // A bomb is bounded by whoever unpacks; here it only takes time.
    if (total > (size_t{8} << 20U)) return Result<void>(fail(ErrorCode::kOverloaded, "enough"));
    return Result<void>();
  });
  if (!done) fuzz::must(!done.error().message.empty(), "a refusal says why");
}

void read_as_metadata(std::string_view text) {
  const std::string yaml(text);
  if (const auto read = backup::read_metadata(yaml)) {
    const auto again = backup::read_metadata(backup::metadata_yaml(*read));
    fuzz::must(again && again->files.size() == read->files.size(), "what was read can be written and read");
  }
}

/// `content` sealed, one byte of it changed as the input says: it opens whole or not at all.
void damage_stream(fuzz::Input& input, bool is_cut) {
  const size_t at = input.choice(256) * 256 + input.choice(256);
  const auto mask = static_cast<char>(input.choice(256));
  const std::string plain(input.rest());
  vault::StreamSealer sealer(ring()->current(), "fuzz");
  std::string sealed;
  sealer.add(plain, sealed);
  fuzz::must(sealer.finish(sealed).has_value(), "a stream can be sealed");
  const std::string whole = sealed;
  if (is_cut)
    sealed.resize(at % (sealed.size() + 1));
  else
    sealed[at % sealed.size()] ^= mask;
  vault::StreamOpener opener(ring(), "fuzz");
  std::string out;
  auto done = opener.add(sealed, out);
  if (done) done = opener.finish(out);
  fuzz::must(done.has_value() == (sealed == whole), "damage is found, and only damage");
  fuzz::must(plain.substr(0, out.size()) == out, "nothing else is ever given out");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  switch (input.choice(4)) {
    case 0:
      read_as_archive(input.rest());
      break;
    case 1:
      read_as_metadata(input.rest());
      break;
    case 2:
      damage_stream(input, false);
      break;
    default:
      damage_stream(input, true);
  }
  return 0;
}
