// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "connection/wire.hpp"
#include "peermr/out_of_band.hpp"

namespace peermr {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kLengthBytes = 4;
constexpr const char* kObject = "out-of-band channel";
constexpr const char* kClosed = "the peer has closed it";

Result<void> check_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return errno_error(errno, "adopt", kObject);
  }
  sockaddr_storage peer{};
  size = sizeof(peer);
  const bool connected = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
  if (type == SOCK_STREAM && connected) return {};
  return make_error(std::errc::invalid_argument, "adopt", kObject,
                    connected ? "the socket is not a stream" : "the socket is not connected");
}

}  // namespace

OutOfBand::~OutOfBand() = default;

class StreamChannel::Impl {
 public:
  Impl(UniqueFd socket, const StreamChannelOptions& options)
      : socket_(std::move(socket)), options_(options) {}

  Result<void> send(std::span<const std::byte> message);
  Result<std::optional<std::vector<std::byte>>> receive();
  Result<void> flush();
  int fd() const noexcept { return socket_.get(); }
  short events() const noexcept { return out_.empty() ? POLLIN : POLLIN | POLLOUT; }

 private:
  const UniqueFd socket_;
  const StreamChannelOptions options_;
  std::vector<std::byte> out_;
  // No more is read than one message and its length, so the peer decides nothing about memory.
  std::array<std::byte, kLengthBytes + kMaxMessageBytes> in_{};
  std::size_t have_ = 0;
  Clock::time_point begun_{};  // when the first byte of the message in in_ came
};

Result<void> StreamChannel::Impl::send(std::span<const std::byte> message) {
  if (message.empty() || message.size() > kMaxMessageBytes) {
    return make_error(
        std::errc::message_size, "send on", kObject,
        fmt::format("{} bytes, and 1 to {} are allowed", message.size(), kMaxMessageBytes));
  }
  if (out_.size() + kLengthBytes + message.size() > options_.max_backlog_bytes) {
    return make_error(std::errc::no_buffer_space, "send on", kObject, "the peer does not read");
  }
  std::array<std::byte, kLengthBytes> length{};
  detail::WireWriter(length).put(static_cast<std::uint32_t>(message.size()));
  out_.insert(out_.end(), length.begin(), length.end());
  out_.insert(out_.end(), message.begin(), message.end());
  return flush();
}

Result<void> StreamChannel::Impl::flush() {
  while (!out_.empty()) {
    const ssize_t sent = ::send(fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {};
    // However it is found out, to the caller it is the same.
    if (sent < 0 && errno == EPIPE) return errno_error(ECONNRESET, "send on", kObject, kClosed);
    if (sent < 0) return errno_error(errno, "send on", kObject);
    out_.erase(out_.begin(), out_.begin() + sent);
  }
  return {};
}

Result<std::optional<std::vector<std::byte>>> StreamChannel::Impl::receive() {
  while (true) {
    std::size_t want = kLengthBytes;
    if (have_ >= kLengthBytes) {
      const auto length = detail::WireReader(in_).get<std::uint32_t>();
      if (length == 0 || length > kMaxMessageBytes) {
        return make_error(Errc::kMalformed, "receive on", kObject,
                          fmt::format("a message of {} bytes, and 1 to {} are allowed", length,
                                      kMaxMessageBytes));
      }
      want += length;
    }
    if (have_ > kLengthBytes && have_ == want) {
      have_ = 0;
      return std::optional(std::vector<std::byte>(in_.data() + kLengthBytes, in_.data() + want));
    }
    const ssize_t got = ::recv(fd(), in_.data() + have_, want - have_, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (have_ == 0 || Clock::now() - begun_ <= options_.message_limit) {
        return std::optional<std::vector<std::byte>>();
      }
      return errno_error(ETIMEDOUT, "receive on", kObject, "the peer stopped within a message");
    }
    if (got < 0) return errno_error(errno, "receive on", kObject);
    if (got == 0) return errno_error(ECONNRESET, "receive on", kObject, kClosed);
    if (have_ == 0) begun_ = Clock::now();
    have_ += static_cast<std::size_t>(got);
  }
}

Result<std::unique_ptr<StreamChannel>> StreamChannel::adopt(UniqueFd socket,
                                                            const StreamChannelOptions& options) {
  if (auto checked = check_socket(socket.get()); !checked) return checked.error();
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return errno_error(errno, "adopt", kObject);
  }
  return std::unique_ptr<StreamChannel>(
      new StreamChannel(std::make_unique<Impl>(std::move(socket), options)));
}

StreamChannel::StreamChannel(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
StreamChannel::~StreamChannel() = default;

Result<void> StreamChannel::send(std::span<const std::byte> message) {
  return impl_->send(message);
}
Result<std::optional<std::vector<std::byte>>> StreamChannel::receive() {
  return impl_->receive();
}
Result<void> StreamChannel::flush() {
  return impl_->flush();
}
int StreamChannel::fd() const noexcept {
  return impl_->fd();
}
short StreamChannel::events() const noexcept {
  return impl_->events();
}

Result<std::vector<std::byte>> receive_until(OutOfBand& channel, Clock::time_point deadline) {
  while (true) {
    if (auto flushed = channel.flush(); !flushed) return flushed.error();
    auto message = channel.receive();
    if (!message) return message.error();
    if (*message) return **std::move(message);
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return errno_error(ETIMEDOUT, "receive on", kObject);
    pollfd wait{.fd = channel.fd(), .events = channel.events(), .revents = 0};
    const auto slice = std::min<std::int64_t>(left.count(), 1000);
    if (::poll(&wait, 1, static_cast<int>(slice)) < 0 && errno != EINTR) {
      return errno_error(errno, "wait for", kObject);
    }
  }
}

}  // namespace peermr
