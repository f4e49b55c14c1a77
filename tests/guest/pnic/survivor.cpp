// SPDX-License-Identifier: BSD-2-Clause
//
// survivor BDF CYCLES poll|sleep: a client that outlives its device, CYCLES times.
//
// In each cycle it opens the RDMA device of PCI function BDF and writes through it without pause,
// waiting for completions by polling or asleep on the completion channel. It prints "ready N"; then
// somebody takes the device away. Within 5 s of that ("gone" on standard input) it must have got
// IBV_EVENT_DEVICE_FATAL, and every verb must say EIO. Then it closes everything and waits for the
// device to come back.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;

constexpr std::size_t kBytes = 64 * 1024;
constexpr int kLimitMs = 5000;

Context open_when_there(const std::string& bdf) {
  const std::int64_t deadline = now_ms() + 20000;
  while (now_ms() < deadline) {
    if (auto context = open_device(bdf)) {
      return std::move(*context);
    }
    usleep(20000);
  }
  fail("no RDMA device for 20 s", 0);
}

/// Reports the event that ends the device, if it is there already.
bool fatal_event(ibv_context* context) {
  pollfd ready = {.fd = context->async_fd, .events = POLLIN, .revents = 0};
  ibv_async_event event{};
  while (::poll(&ready, 1, 0) == 1) {
    if (ibv_get_async_event(context, &event) != 0) {
      fail("read an event that is there");
    }
    ibv_ack_async_event(&event);
    if (event.event_type == IBV_EVENT_DEVICE_FATAL) {
      return true;
    }
  }
  return false;
}

/// One WRITE; false when nothing came back for a while, as it is with a device that is gone.
bool write_once(Loopback& loopback, ibv_mr* from, ibv_mr* to, bool sleep) {
  const ibv_sge local = {.addr = reinterpret_cast<std::uint64_t>(from->addr),
                         .length = kBytes,
                         .lkey = from->lkey};
  if (sleep && ibv_req_notify_cq(loopback.cq.get(), 0) != 0) {
    return false;
  }
  if (post_rdma(loopback, IBV_WR_RDMA_WRITE, local, reinterpret_cast<std::uint64_t>(to->addr),
                to->rkey) != 0) {
    return false;
  }
  if (sleep) {
    pollfd ready = {.fd = loopback.channel->fd, .events = POLLIN, .revents = 0};
    ibv_cq* cq = nullptr;
    void* context = nullptr;
    if (::poll(&ready, 1, 200) != 1 ||
        ibv_get_cq_event(loopback.channel.get(), &cq, &context) != 0) {
      return false;
    }
    ibv_ack_cq_events(cq, 1);
  }
  const auto wc = poll_one(loopback, 200);
  return wc && wc->status == IBV_WC_SUCCESS;
}

void expect_eio(ibv_context* context, ibv_pd* pd, void* memory) {
  ibv_device_attr attr{};
  const int error = ibv_query_device(context, &attr);
  if (error != EIO && errno != EIO) {
    fail("query_device of a device that is gone says " + std::to_string(error), 0);
  }
  errno = 0;
  if (ibv_alloc_pd(context) != nullptr || errno != EIO) {
    fail("alloc_pd of a device that is gone must fail with EIO");
  }
  errno = 0;
  if (ibv_reg_mr(pd, memory, kBytes, IBV_ACCESS_LOCAL_WRITE) != nullptr || errno != EIO) {
    fail("reg_mr of a device that is gone must fail with EIO");
  }
}

void cycle(const std::string& bdf, int number, bool sleep) {
  const Context context = open_when_there(bdf);
  std::vector<char> memory(2 * kBytes, 'x');
  Loopback loopback = Loopback::create(context.get());
  const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  const Mr from(ibv_reg_mr(loopback.pd.get(), memory.data(), kBytes, access));
  const Mr to(ibv_reg_mr(loopback.pd.get(), memory.data() + kBytes, kBytes, access));
  require(from != nullptr && to != nullptr, "register memory");
  require(write_once(loopback, from.get(), to.get(), sleep), "the first WRITE");
  std::printf("ready %d\n", number);
  std::fflush(stdout);

  // Traffic until the device ends, which the other side says when it has done it.
  std::int64_t gone_since = 0;
  std::array<char, 64> line{};
  while (!fatal_event(context.get())) {
    write_once(loopback, from.get(), to.get(), sleep);
    pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (gone_since == 0 && ::poll(&input, 1, 0) == 1) {
      require(::read(STDIN_FILENO, line.data(), line.size()) > 0, "read standard input");
      gone_since = now_ms();
    }
    if (gone_since != 0 && now_ms() - gone_since > kLimitMs) {
      fail("no IBV_EVENT_DEVICE_FATAL for 5 s", 0);
    }
  }
  expect_eio(context.get(), loopback.pd.get(), memory.data());
  if (gone_since == 0) {
    require(::read(STDIN_FILENO, line.data(), line.size()) > 0, "read standard input");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s BDF CYCLES poll|sleep\n", argv[0]);
    return 2;
  }
  // Destroying objects of a device that is gone shall free them, not say EIO.
  ::setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 1);
  const int cycles = std::atoi(argv[2]);
  for (int number = 0; number < cycles; number++) {
    cycle(argv[1], number, std::string(argv[3]) == "sleep");
  }
  std::printf("done\n");
  return 0;
}
