#include "eval/line_reader.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

namespace enhanced_gptcache::eval {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10U;

struct CloseGzip {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzipFile = std::unique_ptr<gzFile_s, CloseGzip>;

Result<GzipFile> open_file(const std::string& path) {
  std::error_code error;
  if (path != "-" && std::filesystem::is_directory(path, error))
    return fail(ErrorCode::kIo, fmt::format("{} is a folder", path));
  errno = 0;
  GzipFile file(path == "-" ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path.c_str(), "rb"));
  if (file != nullptr) return file;
  const int why = errno;
  return fail(why == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              fmt::format("cannot read {}: {}", path, why == 0 ? "out of memory" : std::strerror(why)));
}

/// Cuts pieces into lines and hands them over; counts what became of them.
class Cutter {
 public:
  Cutter(size_t limit, const LineTaker& take) : limit_(limit), take_(take) {}

  bool is_full() const { return limit_ != 0 && outcome.used >= limit_; }

  void add(std::string_view piece) {
    while (!piece.empty() && !is_full()) {
      const size_t end = piece.find('\n');
      keep(piece.substr(0, end));
      if (end == std::string_view::npos) return;
      finish();
      piece.remove_prefix(end + 1);
    }
  }
  /// The last line may lack its line feed.
  void end() {
    if ((!line_.empty() || is_too_long_) && !is_full()) finish();
  }
  size_t line() const { return number_; }

  LineOutcome outcome;

 private:
  void keep(std::string_view part) {
    is_too_long_ = is_too_long_ || line_.size() + part.size() > kLineBytesMax;
    if (is_too_long_)
      line_.clear();
    else
      line_ += part;
  }
  void finish() {
    ++number_;
    if (is_too_long_)
      skip(fmt::format("longer than {} bytes", kLineBytesMax));
    else if (line_.find_first_not_of(" \t\r") != std::string::npos)
      hand_over();
    line_.clear();
    is_too_long_ = false;
  }
  void hand_over() {
    if (auto taken = take_(line_); !taken)
      skip(taken.error().message);
    else
      ++outcome.used;
  }
  void skip(std::string reason) {
    ++outcome.skipped;
    if (outcome.first_skipped.size() < kSkippedNamedMax)
      outcome.first_skipped.push_back({number_, std::move(reason)});
  }

  const size_t limit_;
  const LineTaker& take_;
  std::string line_;
  bool is_too_long_ = false;
  size_t number_ = 0;
};

}  // namespace

Result<LineOutcome> read_lines(const std::string& path, size_t limit, const LineTaker& take) {
  EGPTC_TRY(const GzipFile file, open_file(path));
  Cutter cutter(limit, take);
  std::string piece(kPieceBytes, '\0');
  int error = Z_OK;
  while (!cutter.is_full()) {
    const int got = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()));
    if (got > 0) cutter.add(std::string_view(piece).substr(0, static_cast<size_t>(got)));
    if (got == static_cast<int>(piece.size())) continue;
    // A stream cut short shows as the end of the file with an error beside it.
    const char* why = gzerror(file.get(), &error);
    if (error == Z_OK || error == Z_STREAM_END) break;
    const bool is_system = error == Z_ERRNO;
    return fail(is_system ? ErrorCode::kIo : ErrorCode::kCorrupt,
                fmt::format("{} cannot be read after line {}: {}", path, cutter.line(),
                            error == Z_BUF_ERROR ? "the gzip stream ends too early"
                            : is_system          ? std::strerror(errno)
                                                 : why));
  }
  const bool is_whole = !cutter.is_full();
  cutter.end();
  if (is_whole && path.ends_with(".gz") && gzdirect(file.get()) == 1 &&
      cutter.outcome.used + cutter.outcome.skipped > 0) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is named .gz but holds no gzip stream", path));
  }
  return std::move(cutter.outcome);
}

}  // namespace enhanced_gptcache::eval
