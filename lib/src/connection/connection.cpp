// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/connection.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/deadline.hpp"
#include "connection/connection_core.hpp"
#include "connection/waiter.hpp"

namespace peermr {

using Clock = std::chrono::steady_clock;

std::string_view to_string(ConnectionState state) noexcept {
  switch (state) {
    case ConnectionState::kConnecting:
      return "connecting";
    case ConnectionState::kLive:
      return "live";
    case ConnectionState::kRecovering:
      return "recovering";
    case ConnectionState::kDead:
      return "dead";
  }
  return "unknown";
}

class RcConnection::Impl {
 public:
  Impl(std::unique_ptr<detail::Waiter> wakes, std::unique_ptr<detail::Port> port,
       std::unique_ptr<OutOfBand> channel, const ConnectionOptions& options)
      : waiter(std::move(wakes)), core(std::move(port), std::move(channel), options) {}

  Result<void> process() {
    waiter->clear();
    auto done = core.process();
    waiter->set(core.channel().events(), core.wake_at());
    return done;
  }

  /// What was left to process() makes fd() readable.
  void nudge() noexcept {
    if (core.calls_for_process()) ring(*waiter->bell());
  }
  static void ring(const UniqueFd& bell) noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(::write(bell.get(), &one, sizeof(one)));
  }

  std::unique_ptr<detail::Waiter> waiter;
  detail::ConnectionCore core;
};

Result<RcConnection> RcConnection::create(ibv_pd* pd, std::unique_ptr<OutOfBand> channel,
                                          const ConnectionOptions& options) {
  if (options.max_sends == 0 || options.max_receives == 0) {
    return make_error(std::errc::invalid_argument, "make", "connection",
                      "max_sends and max_receives are at least 1");
  }
  auto port = detail::make_verbs_port(pd, options.qp, {options.max_sends, options.max_receives});
  if (!port) return port.error();
  auto waiter = detail::Waiter::create(channel->fd(), (*port)->fd());
  if (!waiter) return waiter.error();
  return RcConnection(
      std::make_unique<Impl>(*std::move(waiter), *std::move(port), std::move(channel), options));
}

RcConnection::RcConnection(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
RcConnection::RcConnection(RcConnection&&) noexcept = default;
RcConnection& RcConnection::operator=(RcConnection&&) noexcept = default;
RcConnection::~RcConnection() = default;

int RcConnection::fd() const noexcept {
  return impl_->waiter->fd();
}

Result<void> RcConnection::process() {
  return impl_->process();
}

Result<void> RcConnection::wait_until_live(std::chrono::nanoseconds limit) {
  const auto deadline = later(Clock::now(), limit);
  while (true) {
    if (auto done = process(); !done) return done;
    if (state() == ConnectionState::kLive) return {};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      return make_error(std::errc::timed_out, "wait for", "connection", to_string(state()));
    }
    pollfd wait{.fd = fd(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left, 1000))) < 0 &&
        errno != EINTR) {
      return errno_error(errno, "wait for", "connection");
    }
  }
}

ConnectionState RcConnection::state() const noexcept {
  return impl_->core.state();
}
Result<void> RcConnection::post(const WorkRequest& work) {
  auto posted = impl_->core.post(work);
  impl_->nudge();
  return posted;
}
Result<void> RcConnection::post_receive(std::uint64_t id, const LocalMemory& local) {
  auto posted = impl_->core.post_receive(id, local);
  impl_->nudge();
  return posted;
}
std::size_t RcConnection::poll(std::span<Completion> completions) {
  const std::size_t count = impl_->core.poll(completions);
  impl_->nudge();
  return count;
}
std::optional<ConnectionEvent> RcConnection::next_event() {
  return impl_->core.next_event();
}

Result<void> RcConnection::publish(RegionId id, Region& region) {
  return publish(Publication::create(id, region));
}
Result<void> RcConnection::publish(std::shared_ptr<Publication> publication) {
  auto published = impl_->core.publish(std::move(publication));
  impl_->nudge();
  return published;
}

std::optional<RegionDescriptor> RcConnection::remote_region(RegionId id) const {
  return impl_->core.remote_region(id);
}

std::function<void(const RegionEvent&)> RcConnection::wake_on_change() const {
  return [bell = impl_->waiter->bell()](const RegionEvent&) { Impl::ring(*bell); };
}

}  // namespace peermr
