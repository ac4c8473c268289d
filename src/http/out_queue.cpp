#include "http/out_queue.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "http/server_tls.h"

namespace enhanced_gptcache::http {

void OutQueue::push(std::string bytes) {
  if (bytes.empty()) return;
  bytes_ += bytes.size();
  pieces_.push_back(Piece{std::move(bytes), nullptr, {}});
}

void OutQueue::push_shared(std::shared_ptr<const void> owner, std::string_view view) {
  if (view.empty()) return;
  bytes_ += view.size();
  pieces_.push_back(Piece{{}, std::move(owner), view});
}

OutQueue::Progress OutQueue::flush(int socket) {
  while (!empty()) {
    std::array<iovec, 16> parts{};
    size_t count = 0;
    for (size_t i = first_; i < pieces_.size() && count < parts.size(); ++i, ++count) {
      std::string_view view = pieces_[i].view();
      if (i == first_) view.remove_prefix(offset_);
      parts[count] = {const_cast<char*>(view.data()), view.size()};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0) {
      advance(static_cast<size_t>(written));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Progress::kBlocked;
    } else if (errno != EINTR) {
      return Progress::kBroken;
    }
  }
  return Progress::kEmpty;
}

OutQueue::Progress OutQueue::flush(TlsSession& tls) {
  // Head and body of a small answer go into one record; what is tried again begins with the same bytes.
  constexpr size_t kRecordBytes = 16384;
  std::string joined;
  while (!empty()) {
    std::string_view next = pieces_[first_].view();
    next.remove_prefix(offset_);
    if (next.size() < kRecordBytes && first_ + 1 < pieces_.size()) {
      joined = next;
      for (size_t i = first_ + 1; i < pieces_.size() && joined.size() < kRecordBytes; ++i)
        joined.append(pieces_[i].view().substr(0, kRecordBytes - joined.size()));
      next = joined;
    }
    size_t written = 0;
    switch (tls.write(next, written)) {
      case TlsSession::Progress::kDone:
        advance(written);
        break;
      case TlsSession::Progress::kWantWrite:
        return Progress::kBlocked;
      default:
        return Progress::kBroken;  // reading is never needed to write: renegotiation is off
    }
  }
  return Progress::kEmpty;
}

void OutQueue::advance(size_t written) {
  bytes_ -= written;
  while (written > 0) {
    const size_t left = pieces_[first_].view().size() - offset_;
    if (written < left) {
      offset_ += written;
      return;
    }
    written -= left;
    offset_ = 0;
    pieces_[first_] = Piece{};
    ++first_;
  }
  if (first_ == pieces_.size()) clear();
}

void OutQueue::clear() {
  pieces_.clear();
  first_ = 0;
  offset_ = 0;
  bytes_ = 0;
}

}  // namespace enhanced_gptcache::http
