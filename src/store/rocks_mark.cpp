#include "store/rocks_mark.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/keyed_hash.h"
#include "store/rocks_spare.h"

namespace enhanced_gptcache::store {
namespace {

constexpr const char* kName = "EGPTMARK";

/// It finds damage, not attackers: its key is public.
std::string hash_of(std::string_view bytes) {
  static constexpr base::SecretKey kPublicKey{};
  return base::keyed_hash(kPublicKey, "mark", {bytes}).hex();
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string manifest_name(const std::string& folder) {
  std::string name = read_file(folder + "/CURRENT");
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

std::string body_of(const Mark& mark) {
  return fmt::format("{} 1 {} {} {} {}", kName, mark.sequence, mark.manifest, mark.manifest_bytes,
                     mark.manifest_hash);
}

}  // namespace

Mark make_mark(const std::string& folder, uint64_t sequence, const Mark& before) {
  Mark mark = before;
  mark.sequence = sequence;
  const std::string name = manifest_name(folder);
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(folder + "/" + name, error);
  if (error || (name == before.manifest && bytes == before.manifest_bytes)) return mark;
  const std::string content = read_file(folder + "/" + name);
  mark.manifest = name;
  mark.manifest_bytes = content.size();
  mark.manifest_hash = hash_of(content);
  keep_manifest_spare(folder, name, content);
  return mark;
}

bool is_manifest_whole(const std::string& folder, const Mark& mark) {
  // Another manifest is one that an opening started which did not get as far as marking it.
  if (mark.manifest.empty() || manifest_name(folder) != mark.manifest) return true;
  const std::string content = read_file(folder + "/" + mark.manifest);
  return content.size() >= mark.manifest_bytes &&
         hash_of(std::string_view(content).substr(0, mark.manifest_bytes)) == mark.manifest_hash;
}

void write_mark(const std::string& path, const Mark& mark) {
  const std::string fresh = path + ".new";
  {
    const std::string body = body_of(mark);
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << body << ' ' << hash_of(body) << '\n';
    if (!out.flush()) return;
  }
  std::error_code ignored;
  std::filesystem::rename(fresh, path, ignored);
}

Mark read_mark(const std::string& path) {
  std::istringstream in(read_file(path));
  Mark mark;
  std::string name, hash;
  int version = 0;
  in >> name >> version >> mark.sequence >> mark.manifest >> mark.manifest_bytes >> mark.manifest_hash >>
      hash;
  if (!in || name != kName || version != 1 || hash != hash_of(body_of(mark))) return {};
  return mark;
}

void remove_mark(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace enhanced_gptcache::store
