// SPDX-License-Identifier: BSD-2-Clause
#include "bench/stream.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/signals.hpp"
#include "base/units.hpp"

namespace peermr::tool {
namespace {

// Reading the clock for every empty poll would be most of the polling.
constexpr unsigned kPollsPerClock = 256;
constexpr std::uint64_t kFlushBytes = 8;
constexpr std::uint64_t kFlushId = ~std::uint64_t{0};

ibv_wr_opcode opcode(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return IBV_WR_RDMA_READ;
    case Operation::kSend:
      return IBV_WR_SEND;
    case Operation::kWrite:
      break;
  }
  return IBV_WR_RDMA_WRITE;
}

}  // namespace

Stream::Stream(const Endpoint& endpoint, TargetSide& target, const StreamOptions& options)
    : endpoint_(endpoint),
      target_(target),
      options_(options),
      chain_(std::max(options.depth / 4, 1u)),
      wrs_(chain_),
      sges_(chain_),
      last_progress_(Clock::now()) {
  for (std::uint32_t i = 0; i < chain_; ++i) {
    sges_[i].length = static_cast<std::uint32_t>(options.layout.size_bytes);
    sges_[i].lkey = options.lkey;
    wrs_[i] = {};
    wrs_[i].sg_list = &sges_[i];
    wrs_[i].num_sge = 1;
    wrs_[i].opcode = opcode(options.operation);
    wrs_[i].wr.rdma.rkey = options.rkey;
  }
}

Result<void> Stream::post(std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t number = posted_ + i;
    const std::uint64_t offset = number % options_.layout.slots * options_.layout.stride_bytes;
    ibv_send_wr& wr = wrs_[i];
    wr.wr_id = number;
    wr.next = i + 1 < count ? &wrs_[i + 1] : nullptr;
    wr.send_flags = i + 1 < count ? 0u : static_cast<unsigned>(IBV_SEND_SIGNALED);
    sges_[i].addr = options_.local_address + offset;
    if (options_.operation != Operation::kSend) {
      wr.wr.rdma.remote_addr = options_.remote_address + offset;
    }
  }
  ibv_send_wr* bad = nullptr;
  if (const int status = ibv_post_send(endpoint_.qp(), wrs_.data(), &bad); status != 0) {
    return errno_error(status, "post to", endpoint_.describe());
  }
  posted_ += count;
  return {};
}

Result<void> Stream::take(const ibv_wc& completion) {
  if (completion.status != IBV_WC_SUCCESS) {
    return make_error(
        std::errc::io_error, "complete a work request on", endpoint_.describe(),
        fmt::format("{} (status {}, vendor error {:#x})", ibv_wc_status_str(completion.status),
                    static_cast<int>(completion.status), completion.vendor_err));
  }
  completed_ = completion.wr_id == kFlushId ? posted_ : completion.wr_id + 1;
  return {};
}

Result<void> Stream::reap() {
  std::array<ibv_wc, 16> completions;
  const int count =
      ibv_poll_cq(endpoint_.cq(), static_cast<int>(completions.size()), completions.data());
  if (count < 0) {
    return make_error(std::errc::io_error, "poll the completion queue of", endpoint_.describe());
  }
  if (options_.operation == Operation::kSend) {
    if (auto received = target_.service_receives(); !received) return std::move(received).error();
  }
  for (int i = 0; i < count; ++i) {
    if (auto taken = take(completions[static_cast<std::size_t>(i)]); !taken) return taken;
  }
  if (count == 0) return check_progress();
  empty_polls_ = 0;
  last_progress_ = {};
  return {};
}

Result<void> Stream::check_progress() {
  if (++empty_polls_ % kPollsPerClock != 0) return {};
  if (stop_requested()) {
    return make_error(std::errc::interrupted, "wait for completions of", endpoint_.describe());
  }
  const Clock::time_point now = Clock::now();
  // The clock is not read at every completion, but the first time after one.
  if (last_progress_ == Clock::time_point{}) last_progress_ = now;
  if (now - last_progress_ < options_.timeout) return {};
  return make_error(
      std::errc::timed_out, "wait for completions of", endpoint_.describe(),
      fmt::format("{} of {} messages are outstanding and none completed for {} s", in_flight(),
                  posted_,
                  std::chrono::duration_cast<std::chrono::seconds>(options_.timeout).count()));
}

Result<void> Stream::reap_down_to(std::uint64_t allowed) {
  while (in_flight() > allowed) {
    if (auto reaped = reap(); !reaped) return reaped;
  }
  return {};
}

Result<void> Stream::drain() {
  if (auto reaped = reap_down_to(0); !reaped) return reaped;
  if (options_.operation != Operation::kSend) return {};
  // The requester's completion can be seen before the receiver's.
  while (true) {
    auto received = target_.service_receives();
    if (!received) return std::move(received).error();
    if (*received >= posted_) return {};
    if (auto checked = check_progress(); !checked) return checked;
  }
}

Result<void> Stream::run(std::uint64_t count) {
  const std::uint64_t end = posted_ + count;
  while (posted_ < end) {
    const auto now = static_cast<std::uint32_t>(std::min<std::uint64_t>(chain_, end - posted_));
    if (auto reaped = reap_down_to(options_.depth - now); !reaped) return reaped;
    if (auto sent = post(now); !sent) return sent;
    if (stop_requested()) break;
  }
  return drain();
}

Result<void> Stream::run_for(std::chrono::nanoseconds duration, std::uint64_t least) {
  const Clock::time_point end = Clock::now() + duration;
  const std::uint64_t enough = posted_ + least;
  while ((posted_ < enough || Clock::now() < end) && !stop_requested()) {
    if (auto reaped = reap_down_to(options_.depth - chain_); !reaped) return reaped;
    if (auto sent = post(chain_); !sent) return sent;
  }
  return drain();
}

Result<std::chrono::nanoseconds> Stream::round_trip() {
  const Clock::time_point begin = Clock::now();
  if (auto sent = post(1); !sent) return std::move(sent).error();
  if (auto reaped = reap_down_to(0); !reaped) return std::move(reaped).error();
  const Clock::time_point end = Clock::now();
  if (auto drained = drain(); !drained) return std::move(drained).error();
  return std::chrono::nanoseconds(end - begin);
}

Result<void> Stream::flush(std::uint64_t scratch) {
  ibv_sge sge{scratch, kFlushBytes, options_.lkey};
  ibv_send_wr wr{};
  wr.wr_id = kFlushId;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  wr.opcode = IBV_WR_RDMA_READ;
  wr.send_flags = IBV_SEND_SIGNALED;
  wr.wr.rdma.rkey = options_.rkey;
  wr.wr.rdma.remote_addr = options_.remote_address + options_.layout.span_bytes() - kFlushBytes;
  ibv_send_wr* bad = nullptr;
  if (const int status = ibv_post_send(endpoint_.qp(), &wr, &bad); status != 0) {
    return errno_error(status, "post to", endpoint_.describe());
  }
  ++posted_;
  return reap_down_to(0);
}

}  // namespace peermr::tool
