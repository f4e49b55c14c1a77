// SPDX-License-Identifier: BSD-2-Clause
#include "share/client.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/signals.hpp"
#include "share/unix_socket.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kGreetingLimit = 10s;
// A signal's flag is looked at this often.
constexpr int kPollMs = 100;

std::optional<std::pair<int, int>> parse_pid_fd(const std::string& text) {
  int pid = 0;
  int fd = 0;
  const char* const end = text.data() + text.size();
  auto [slash, first] = std::from_chars(text.data(), end, pid);
  if (first != std::errc{} || slash == end || *slash != '/' || pid <= 0) return std::nullopt;
  auto [rest, second] = std::from_chars(slash + 1, end, fd);
  if (second != std::errc{} || rest != end || fd < 0) return std::nullopt;
  return std::pair(pid, fd);
}

Result<DmaBuf> take_from_process(int pid, int fd) {
  const std::string name = fmt::format("descriptor {} of process {}", fd, pid);
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return errno_error(errno, "take", name, "is there such a process?");
  UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
  if (!taken) {
    return errno_error(errno, "take", name,
                       errno == EPERM ? "it takes the right to trace that process" : "");
  }
  return DmaBuf::adopt(std::move(taken), name);
}

}  // namespace

Result<ShareClient> ShareClient::connect(const std::string& path) {
  auto fd = connect_unix(path);
  if (!fd) return std::move(fd).error();
  ShareClient client(*std::move(fd), path);
  auto line = client.receive_line(kGreetingLimit);
  if (!line) return std::move(line).error();
  auto greeting = parse_greeting(*line);
  if (!greeting || !client.buffer_) {
    return make_error(Errc::kMalformed, "read from", path,
                      greeting ? "no descriptor came along"
                               : greeting.error().detail() + ": is it a peermr export's?");
  }
  client.greeting_ = *std::move(greeting);
  return client;
}

Result<DmaBuf> ShareClient::take_buffer() {
  return DmaBuf::adopt(std::move(buffer_),
                       fmt::format("{} BAR {}", greeting_.device, greeting_.bar));
}

Result<nlohmann::json> ShareClient::ask(const Request& request,
                                        std::optional<std::chrono::milliseconds> limit) {
  const std::string line = make_line(request);
  // A request is far smaller than what a socket that is read has room for.
  const ssize_t sent = send_some(fd_.get(), line, -1);
  if (sent != static_cast<ssize_t>(line.size())) {
    return errno_error(sent < 0 ? static_cast<int>(-sent) : EIO, "write to", path_);
  }
  auto answer = receive_line(limit);
  if (!answer) return std::move(answer).error();
  return parse_answer(*answer);
}

Result<std::string> ShareClient::receive_line(std::optional<std::chrono::milliseconds> limit) {
  const auto end = limit ? Clock::now() + *limit : Clock::time_point::max();
  while (true) {
    if (const std::size_t at = in_.find('\n'); at != std::string::npos) {
      std::string line = in_.substr(0, at);
      in_.erase(0, at + 1);
      return line;
    }
    if (in_.size() >= kMaxShareLine) {
      return make_error(Errc::kMalformed, "read from", path_, "a line is too long");
    }
    if (stop_requested()) return make_error(std::errc::interrupted, "wait for", path_);
    if (Clock::now() >= end) return make_error(std::errc::timed_out, "wait for", path_);
    pollfd entry{fd_.get(), POLLIN, 0};
    const int ready = ::poll(&entry, 1, kPollMs);
    if (ready < 0 && errno != EINTR) return errno_error(errno, "wait for", path_);
    if (ready <= 0) continue;
    std::array<char, kMaxShareLine> chunk;
    const ssize_t got = receive_some(fd_.get(), chunk.data(), chunk.size(), buffer_);
    if (got == -EAGAIN) continue;
    if (got <= 0) {
      return errno_error(got < 0 ? static_cast<int>(-got) : ECONNRESET, "read from", path_,
                         "the owner has gone, or dropped this connection");
    }
    in_.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

Result<DmaBuf> take_buffer_from(const std::string& source) {
  if (const auto place = parse_pid_fd(source)) {
    return take_from_process(place->first, place->second);
  }
  return ShareClient::connect(source).and_then(
      [](ShareClient client) { return client.take_buffer(); });
}

}  // namespace peermr::tool
