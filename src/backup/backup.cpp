#include "backup/backup.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

namespace enhanced_gptcache::backup {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMetadataBytesMax = size_t{256} << 20U;

Metadata describe(const BackupPlan& plan) {
  Metadata metadata;
  metadata.timestamp = timestamp_now();
  metadata.type = plan.type;
  metadata.version = EGPTC_VERSION;
  metadata.config_name = plan.config_name;
  utsname system{};
  if (::uname(&system) == 0) {
    metadata.hostname = system.nodename;
    metadata.os = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  }
  return metadata;
}

/// The regular files of a source, sorted, with their names in the backup. Links are not followed.
Result<std::vector<Source>> files_of(const Source& source) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(source.from, error);
  if (fs::is_regular_file(status)) return std::vector<Source>{source};
  if (!fs::is_directory(fs::status(source.from, error)))
    return fail(ErrorCode::kIo, fmt::format("{} is neither a file nor a folder", source.from));
  std::vector<Source> files;
  for (fs::recursive_directory_iterator each(source.from, error), end; !error && each != end;
       each.increment(error)) {
    if (!each->is_regular_file() || each->is_symlink()) continue;
    const std::string relative = fs::relative(each->path(), source.from).generic_string();
    files.push_back({each->path().string(), source.as + "/" + relative});
  }
  if (error) return fail(ErrorCode::kIo, fmt::format("{} cannot be read: {}", source.from, error.message()));
  std::sort(files.begin(), files.end(), [](const Source& a, const Source& b) { return a.as < b.as; });
  return files;
}

Result<void> write_all(ArchiveWriter& to, const BackupPlan& plan, Metadata& metadata) {
  const std::string top = "backup_" + metadata.timestamp + "/";
  for (const Source& source : plan.sources) {
    EGPTC_TRY(const std::vector<Source> files, files_of(source));
    for (const Source& file : files) {
      EGPTC_TRY(ArchivedFile added, to.add_file(top + file.as, file.from));
      added.name = file.as;
      metadata.bytes += added.bytes;
      metadata.files.push_back(std::move(added));
    }
  }
  EGPTC_TRY_VOID(to.add_text(top + kMetadataName, metadata_yaml(metadata)));
  return to.close();
}

Result<void> sync_path(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(ErrorCode::kIo, path + " cannot be opened again");
  const int done = ::fsync(fd);
  ::close(fd);
  if (done != 0) return fail(ErrorCode::kIo, path + " cannot be synced");
  return {};
}

/// Checks a backup while it is read, and writes it below `folder` unless that is empty.
class Reader {
 public:
  explicit Reader(std::string folder) : folder_(std::move(folder)) {}

  Result<void> take(const ArchivePiece& piece) {
    if (piece.is_end) return end(piece);
    if (piece.piece.empty()) return begin(piece);
    if (name_ == kMetadataName) {
      if (yaml_.size() + piece.piece.size() > kMetadataBytesMax)
        return fail(ErrorCode::kCorrupt, "the metadata is too large");
      yaml_ += piece.piece;
      return {};
    }
    hash_->add(piece.piece);
    if (out_.is_open() && !out_.write(piece.piece.data(), static_cast<std::streamsize>(piece.piece.size())))
      return fail(ErrorCode::kIo, fmt::format("{}/{} cannot be written", folder_, name_));
    return {};
  }

  Result<Metadata> finish() const {
    if (yaml_.empty()) return fail(ErrorCode::kCorrupt, fmt::format("there is no {} in it", kMetadataName));
    EGPTC_TRY(Metadata metadata, read_metadata(yaml_));
    for (const ArchivedFile& listed : metadata.files) {
      const auto found = found_.find(listed.name);
      if (found == found_.end())
        return fail(ErrorCode::kCorrupt, fmt::format("\"{}\" is missing", listed.name));
      if (found->second.bytes != listed.bytes || found->second.sha256 != listed.sha256)
        return fail(ErrorCode::kCorrupt, fmt::format("\"{}\" has changed", listed.name));
    }
    if (found_.size() != metadata.files.size())
      return fail(ErrorCode::kCorrupt, "it holds files that are not listed");
    return metadata;
  }

 private:
  Result<void> begin(const ArchivePiece& piece) {
    const size_t slash = piece.name.find('/');
    if (slash == std::string::npos)
      return fail(ErrorCode::kCorrupt, fmt::format("\"{}\" is not below backup_<timestamp>/", piece.name));
    name_ = piece.name.substr(slash + 1);
    hash_ = std::make_unique<Sha256Stream>();
    if (name_ == kMetadataName || folder_.empty()) return {};
    const fs::path target = fs::path(folder_) / name_;
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    out_.open(target, std::ios::binary | std::ios::trunc);
    if (error || !out_) return fail(ErrorCode::kIo, fmt::format("{} cannot be made", target.string()));
    fs::permissions(target, static_cast<fs::perms>(piece.mode), error);
    return {};
  }

  Result<void> end(const ArchivePiece& piece) {
    if (out_.is_open()) {
      out_.close();
      if (!out_) return fail(ErrorCode::kIo, fmt::format("{}/{} cannot be written", folder_, name_));
    }
    if (name_ == kMetadataName) return {};
    if (!found_.emplace(name_, ArchivedFile{name_, piece.bytes, hash_->hex()}).second)
      return fail(ErrorCode::kCorrupt, fmt::format("\"{}\" is there twice", name_));
    return {};
  }

  const std::string folder_;
  std::string name_, yaml_;
  std::unique_ptr<Sha256Stream> hash_;
  std::ofstream out_;
  std::map<std::string, ArchivedFile> found_;
};

Result<Metadata> read_backup(const std::string& path, const BackupKeys& keys, const std::string& folder) {
  Reader reader(folder);
  auto done = read_archive(path, keys, [&](const ArchivePiece& piece) { return reader.take(piece); });
  if (done) {
    if (auto metadata = reader.finish())
      return metadata;
    else
      done = fail(std::move(metadata).error());
  }
  return fail(done.error().code, fmt::format("{}: {}", path, done.error().message));
}

}  // namespace

std::string timestamp_now() { return fmt::format("{:%Y%m%d_%H%M%S}", fmt::gmtime(std::time(nullptr))); }

Result<Made> make_backup(const BackupPlan& plan) {
  std::error_code error;
  fs::create_directories(plan.folder, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{} cannot be made: {}", plan.folder, error.message()));
  Made made{"", describe(plan)};
  made.path = fmt::format("{}/backup_{}.tar.gz{}", plan.folder, made.metadata.timestamp,
                          plan.keys == nullptr ? "" : ".enc");
  const std::string partial = made.path + ".partial";
  if (fs::exists(made.path, error))
    return fail(ErrorCode::kIo, made.path + " exists already; try again in a second");
  const auto write = [&]() -> Result<void> {
    EGPTC_TRY(auto writer,
              ArchiveWriter::create(partial, plan.keys == nullptr ? nullptr : &plan.keys->current()));
    EGPTC_TRY_VOID(write_all(*writer, plan, made.metadata));
    EGPTC_TRY_VOID(sync_path(partial));
    EGPTC_TRY_VOID(verify_backup(partial, plan.keys));
    fs::rename(partial, made.path, error);
    if (error) return fail(ErrorCode::kIo, fmt::format("{}: {}", made.path, error.message()));
    return sync_path(plan.folder);
  };
  if (auto done = write(); !done) {
    fs::remove(partial, error);
    return fail(std::move(done).error());
  }
  return made;
}

Result<Metadata> verify_backup(const std::string& path, const BackupKeys& keys) {
  return read_backup(path, keys, "");
}

size_t remove_old_backups(const std::string& folder, int days) {
  static const std::regex kOurs("backup_[0-9]{8}_[0-9]{6}\\.tar\\.gz(\\.enc)?");
  const auto oldest = fs::file_time_type::clock::now() - std::chrono::hours(24) * days;
  size_t removed = 0;
  std::error_code error;
  std::vector<fs::path> old;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    std::error_code gone;
    if (std::regex_match(file.path().filename().string(), kOurs) && file.is_regular_file(gone) &&
        file.last_write_time(gone) < oldest && !gone)
      old.push_back(file.path());
  }
  for (const fs::path& path : old) removed += fs::remove(path, error) ? 1 : 0;
  return removed;
}

Result<Metadata> unpack_backup(const std::string& path, const BackupKeys& keys, const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error)) return fail(ErrorCode::kIo, folder + " exists already");
  fs::create_directories(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("{} cannot be made: {}", folder, error.message()));
  auto metadata = read_backup(path, keys, folder);
  if (!metadata) fs::remove_all(folder, error);
  return metadata;
}

Result<void> replace_all(const std::vector<Replacement>& replacements) {
  std::vector<std::pair<std::string, std::string>> moved;  // what to undo, newest last: from, to
  std::error_code error;
  const auto move = [&](const std::string& from, const std::string& to) {
    fs::create_directories(fs::path(to).parent_path(), error);
    if (!error) fs::rename(from, to, error);
    if (!error) moved.emplace_back(from, to);
    return !error;
  };
  for (const Replacement& one : replacements) {
    const bool is_there = fs::exists(fs::symlink_status(one.to, error));
    if ((!is_there || move(one.to, one.kept)) && move(one.from, one.to)) continue;
    const std::string why = error.message();
    for (auto undo = moved.rbegin(); undo != moved.rend(); ++undo)
      fs::rename(undo->second, undo->first, error);
    return fail(ErrorCode::kIo,
                fmt::format("{} cannot be put into place, everything is as it was: {}", one.to, why));
  }
  return {};
}

}  // namespace enhanced_gptcache::backup
