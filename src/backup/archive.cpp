#include "backup/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/descriptor.h"
#include "vault/sealed_stream.h"

namespace enhanced_gptcache::backup {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 18U;
constexpr uint64_t kFileBytesMax = uint64_t{1} << 40U;
constexpr size_t kFilesMax = 1'000'000;
/// What a sealed stream of ours says it is.
constexpr const char* kPurpose = "enhanced-gptcache backup";

using EntryPointer = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

Error archive_error(archive* of, ErrorCode code, std::string_view what) {
  const char* why = archive_error_string(of);
  return {code, fmt::format("{}: {}", what, why == nullptr ? "unknown reason" : why)};
}

/// Below the folder it is unpacked in, whatever it says.
bool is_safe_name(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos)
    return false;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = name.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return false;
    start = end + 1;
  }
  return true;
}

}  // namespace

struct Sha256Stream::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr);
}
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::add(std::string_view piece) {
  EVP_DigestUpdate(state_->context, piece.data(), piece.size());
}

std::string Sha256Stream::hex() {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context, hash, &size);
  std::string out;
  for (unsigned i = 0; i < size; ++i) out += fmt::format("{:02x}", hash[i]);
  return out;
}

/// Where an encrypted archive goes: libarchive's bytes are sealed and written.
struct ArchiveWriter::Sink {
  base::Descriptor file;
  vault::StreamSealer sealer;
  std::string sealed;

  static la_ssize_t take(archive* of, void* self, const void* bytes, size_t size) {
    auto& sink = *static_cast<Sink*>(self);
    sink.sealer.add({static_cast<const char*>(bytes), size}, sink.sealed);
    return sink.flush(of) ? static_cast<la_ssize_t>(size) : -1;
  }
  static int end(archive* of, void* self) {
    auto& sink = *static_cast<Sink*>(self);
    if (auto done = sink.sealer.finish(sink.sealed); !done) {
      archive_set_error(of, EFBIG, "%s", done.error().message.c_str());
      return ARCHIVE_FATAL;
    }
    return sink.flush(of) ? ARCHIVE_OK : ARCHIVE_FATAL;
  }
  bool flush(archive* of) {
    const bool is_written = base::write_all(file.get(), sealed);
    if (!is_written) archive_set_error(of, errno, "cannot be written: %s", std::strerror(errno));
    sealed.clear();
    return is_written;
  }
};

ArchiveWriter::ArchiveWriter(archive* to) : to_(to) {}

Result<std::unique_ptr<ArchiveWriter>> ArchiveWriter::create(const std::string& path,
                                                             const vault::MasterKey* key) {
  base::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.get() < 0)
    return fail(ErrorCode::kIo, fmt::format("{} cannot be made: {}", path, std::strerror(errno)));
  archive* to = archive_write_new();
  std::unique_ptr<ArchiveWriter> writer(new ArchiveWriter(to));
  archive_write_add_filter_gzip(to);
  archive_write_set_filter_option(to, "gzip", "compression-level", "5");
  archive_write_set_format_pax_restricted(to);
  archive_write_set_bytes_in_last_block(to, 1);
  int opened = ARCHIVE_OK;
  if (key == nullptr) {
    opened = archive_write_open_filename(to, path.c_str());
  } else {
    writer->sink_.reset(new Sink{std::move(file), {*key, kPurpose}, {}});
    opened = archive_write_open(to, writer->sink_.get(), nullptr, &Sink::take, &Sink::end);
  }
  if (opened != ARCHIVE_OK) return fail(archive_error(to, ErrorCode::kIo, path));
  return writer;
}

ArchiveWriter::~ArchiveWriter() { archive_write_free(to_); }

Result<void> ArchiveWriter::begin(const std::string& name, uint64_t bytes, int64_t modified_s,
                                  unsigned mode) {
  const EntryPointer entry(archive_entry_new(), &archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), mode);
  archive_entry_set_mtime(entry.get(), modified_s, 0);
  if (archive_write_header(to_, entry.get()) != ARCHIVE_OK)
    return fail(archive_error(to_, ErrorCode::kIo, name));
  return {};
}

Result<ArchivedFile> ArchiveWriter::add_file(const std::string& name, const std::string& from) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(from, error);
  std::ifstream in(from, std::ios::binary);
  if (error || !in) return fail(ErrorCode::kIo, fmt::format("{} cannot be read", from));
  const auto mode = static_cast<unsigned>(std::filesystem::status(from, error).permissions()) & 0777U;
  EGPTC_TRY_VOID(begin(name, bytes, ::time(nullptr), mode));
  Sha256Stream hash;
  std::vector<char> piece(kPieceBytes);
  for (uint64_t left = bytes; left > 0;) {
    const auto wanted = static_cast<std::streamsize>(std::min<uint64_t>(left, piece.size()));
    if (!in.read(piece.data(), wanted))
      return fail(ErrorCode::kIo, fmt::format("{} became shorter while it was read", from));
    const auto size = static_cast<size_t>(wanted);
    hash.add({piece.data(), size});
    if (archive_write_data(to_, piece.data(), size) != wanted)
      return fail(archive_error(to_, ErrorCode::kIo, name));
    left -= size;
  }
  return ArchivedFile{name, bytes, hash.hex()};
}

Result<void> ArchiveWriter::add_text(const std::string& name, std::string_view text) {
  EGPTC_TRY_VOID(begin(name, text.size(), ::time(nullptr), 0600));
  if (archive_write_data(to_, text.data(), text.size()) != static_cast<la_ssize_t>(text.size()))
    return fail(archive_error(to_, ErrorCode::kIo, name));
  return {};
}

Result<void> ArchiveWriter::close() {
  if (archive_write_close(to_) != ARCHIVE_OK) return fail(archive_error(to_, ErrorCode::kIo, "closing"));
  return {};
}

namespace {

Result<void> read_file(archive* from, archive_entry* entry,
                       const std::function<Result<void>(const ArchivePiece&)>& each) {
  const char* given = archive_entry_pathname(entry);
  const std::string name = given == nullptr ? "" : given;
  const auto bytes = static_cast<uint64_t>(std::max<la_int64_t>(0, archive_entry_size(entry)));
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr)
    return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no regular file", name));
  if (!is_safe_name(name) || bytes > kFileBytesMax)
    return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a name a backup may hold", name));
  ArchivePiece piece{name,
                     bytes,
                     static_cast<unsigned>(archive_entry_perm(entry)) & 0777U,
                     static_cast<int64_t>(archive_entry_mtime(entry)),
                     {},
                     false};
  EGPTC_TRY_VOID(each(piece));
  std::vector<char> buffer(kPieceBytes);
  uint64_t seen = 0;
  while (true) {
    const la_ssize_t size = archive_read_data(from, buffer.data(), buffer.size());
    if (size < 0) return fail(archive_error(from, ErrorCode::kCorrupt, name));
    if (size == 0) break;
    seen += static_cast<uint64_t>(size);
    piece.piece = {buffer.data(), static_cast<size_t>(size)};
    EGPTC_TRY_VOID(each(piece));
  }
  if (seen != bytes) return fail(ErrorCode::kCorrupt, fmt::format("\"{}\" is cut", name));
  piece.piece = {};
  piece.is_end = true;
  return each(piece);
}

}  // namespace

namespace {

Result<base::Descriptor> open_archive(const std::string& path) {
  base::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) return file;
  return fail(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
}

/// Where an encrypted archive comes from: libarchive sees what was read and authenticated.
struct Opened {
  base::Descriptor file;
  vault::StreamOpener opener;
  std::string sealed = std::string(kPieceBytes, '\0');
  std::string plain = {};
  bool is_at_end = false;
  std::optional<Error> error = {};

  /// False: at the end, or an error.
  bool read_more() {
    plain.clear();
    while (plain.empty() && !is_at_end && !error) {
      const ssize_t got = ::read(file.get(), sealed.data(), sealed.size());
      if (got < 0 && errno == EINTR) continue;
      Result<void> done;
      if (got < 0)
        done = fail(ErrorCode::kIo, std::strerror(errno));
      else if (got == 0)
        done = opener.finish(plain);
      else
        done = opener.add({sealed.data(), static_cast<size_t>(got)}, plain);
      is_at_end = got == 0;
      if (!done) error = std::move(done).error();
    }
    return !error && !plain.empty();
  }
  static la_ssize_t give(archive* of, void* self, const void** bytes) {
    auto& source = *static_cast<Opened*>(self);
    if (!source.read_more() && source.error) {
      archive_set_error(of, EIO, "%s", source.error->message.c_str());
      return -1;
    }
    *bytes = source.plain.data();
    return static_cast<la_ssize_t>(source.plain.size());
  }
};

Result<void> read_files(archive* from, const std::string& path,
                        const std::function<Result<void>(const ArchivePiece&)>& each) {
  archive_entry* entry = nullptr;
  for (size_t files = 0;; ++files) {
    const int status = archive_read_next_header(from, &entry);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return fail(archive_error(from, ErrorCode::kCorrupt, path));
    if (files == kFilesMax) return fail(ErrorCode::kInvalidArgument, path + " holds too many files");
    EGPTC_TRY_VOID(read_file(from, entry, each));
  }
}

}  // namespace

Result<bool> is_encrypted_archive(const std::string& path) {
  EGPTC_TRY(const base::Descriptor file, open_archive(path));
  char first[16];
  const ssize_t got = ::read(file.get(), first, sizeof first);
  if (got < 0) return fail(ErrorCode::kIo, fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  return vault::looks_sealed_stream({first, static_cast<size_t>(got)});
}

Result<void> read_archive(const std::string& path, const std::shared_ptr<const vault::KeyRing>& keys,
                          const std::function<Result<void>(const ArchivePiece&)>& each) {
  EGPTC_TRY(const bool is_encrypted, is_encrypted_archive(path));
  if (is_encrypted && keys == nullptr)
    return fail(ErrorCode::kInvalidArgument, "is encrypted, and no key of backups is given");
  EGPTC_TRY(base::Descriptor file, open_archive(path));
  Opened opened{std::move(file), {keys, kPurpose}};
  const std::unique_ptr<archive, decltype(&archive_read_free)> from(archive_read_new(), &archive_read_free);
  archive_read_support_filter_gzip(from.get());
  archive_read_support_format_tar(from.get());
  const int status = is_encrypted ? archive_read_open(from.get(), &opened, nullptr, &Opened::give, nullptr)
                                  : archive_read_open_fd(from.get(), opened.file.get(), kPieceBytes);
  Result<void> done;
  if (status != ARCHIVE_OK)
    done = fail(archive_error(from.get(), ErrorCode::kCorrupt, path));
  else
    done = read_files(from.get(), path, each);
  // The end of the files is not the end of what was sealed, and only that says that nothing is cut.
  while (is_encrypted && done && opened.read_more()) continue;
  if (opened.error) return fail(std::move(*opened.error));
  return done;
}

}  // namespace enhanced_gptcache::backup
