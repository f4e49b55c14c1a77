// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// Two connections and a region, by the C interface alone, on two NICs.

#include <dlfcn.h>
#include <peermr/peermr_connection.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "peermr_native.h"
#include "support.hpp"

namespace peermr::test {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline constexpr size_t kBytes = 64 << 10;
inline constexpr uint64_t kRegion = 7;

inline int call(const char* name, int fd) {
  const auto function = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr ? function(fd) : ENOSYS;
}

/// Memory that does for a device's, as a C program has it.
struct DeviceMemory {
  DeviceMemory() : fd(::memfd_create("peermr-native-dma-buf", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(fd, kBytes), 0);
    bytes =
        static_cast<uint8_t*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    EXPECT_EQ(peermr_dma_buf_adopt(::dup(fd), "memory", &buffer), 0) << peermr_last_error();
  }
  ~DeviceMemory() {
    peermr_dma_buf_close(buffer);
    ::munmap(bytes, kBytes);
    ::close(fd);
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  peermr_region* make_region(ibv_pd* pd, peermr_event_queue* events = nullptr) const {
    peermr_region_options options{};
    options.size = sizeof(options);
    options.events = events;
    peermr_region* region = nullptr;
    EXPECT_EQ(peermr_region_register(pd, buffer, &options, &region), 0) << peermr_last_error();
    return region;
  }

  int fd;
  uint8_t* bytes;
  peermr_dma_buf* buffer = nullptr;
};

class CapiConnections : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    writer_pd.reset(ibv_alloc_pd(a.get()));
    owner_pd.reset(ibv_alloc_pd(b.get()));
    local = std::make_unique<Buffer>(writer_pd.get(), kBytes, uint8_t{3});
    inbox = std::make_unique<Buffer>(owner_pd.get(), kBytes);
    qp.size = sizeof(qp);
    qp.min_rnr_timer = 1;
    qp.timeout = 10;  // 4 ms
    qp.retry_count = 2;
    options.size = sizeof(options);
    options.qp = &qp;
    options.recovery_first_ns = 100'000;
    options.recovery_ceiling_ns = 5'000'000;
  }
  void TearDown() override {
    peermr_connection_close(writer);
    peermr_connection_close(owner);
    EXPECT_EQ(peermr_region_close(region), 0);
    local.reset();
    inbox.reset();
    writer_pd.reset();
    owner_pd.reset();
    TwoNics::TearDown();
  }

  void make_both() {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ASSERT_EQ(peermr_connection_create(writer_pd.get(), ends[0], &options, &writer), 0)
        << peermr_last_error();
    ASSERT_EQ(peermr_connection_create(owner_pd.get(), ends[1], &options, &owner), 0)
        << peermr_last_error();
  }
  void publish_and_wait() {
    region = memory.make_region(owner_pd.get());
    ASSERT_EQ(peermr_connection_publish(owner, kRegion, region), 0) << peermr_last_error();
    ASSERT_TRUE(turn_until([&] {
      return peermr_connection_state(writer) == PEERMR_CONNECTION_LIVE &&
             peermr_connection_state(owner) == PEERMR_CONNECTION_LIVE &&
             remote().state == PEERMR_DESCRIPTOR_LIVE;
    }));
  }
  void connect() {
    make_both();
    publish_and_wait();
  }

  void turn() {
    pollfd waits[2] = {{peermr_connection_fd(writer), POLLIN, 0},
                       {peermr_connection_fd(owner), POLLIN, 0}};
    ::poll(waits, 2, 20);
    for (peermr_connection* const side : {writer, owner}) {
      if (peermr_connection_process(side) != 0) ADD_FAILURE() << peermr_last_error();
    }
    take(writer, completions);
    take(owner, received);
  }
  bool turn_until(const std::function<bool()>& done) {
    const auto end = Clock::now() + 10s;
    while (!done()) {
      if (Clock::now() > end || HasFailure()) return false;
      turn();
    }
    return true;
  }
  static void take(peermr_connection* from, std::vector<peermr_completion>& to) {
    std::array<peermr_completion, 20> batch;
    while (const int count = peermr_connection_poll(from, batch.data(), batch.size())) {
      ASSERT_GT(count, 0);
      to.insert(to.end(), batch.begin(), batch.begin() + count);
    }
  }
  bool wait_for(size_t count) {
    return turn_until([&] { return completions.size() >= count; });
  }
  /// Until nothing is left to do, so that what is readable next has one cause.
  void settle() {
    do turn();
    while (readable(writer, 50ms) || readable(owner, 50ms));
  }
  static bool readable(const peermr_connection* side, std::chrono::milliseconds limit) {
    pollfd wait{.fd = peermr_connection_fd(side), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, static_cast<int>(limit.count())) == 1;
  }
  void read_events(peermr_connection* side) {
    peermr_connection_event event;
    while (peermr_connection_next_event(side, &event) == 0) last_event = event;
  }
  peermr_descriptor remote() {
    peermr_descriptor descriptor{};
    peermr_connection_remote_region(writer, kRegion, &descriptor);
    return descriptor;
  }

  void take_away() { ASSERT_EQ(call("peermr_native_dmabuf_revoke", memory.fd), 0); }
  void tell() {
    peermr_keys keys;
    ASSERT_EQ(peermr_region_keys(region, &keys), 0);
    ASSERT_EQ(peermr_region_report_completion(region, IBV_WC_REM_ACCESS_ERR, keys.generation),
              PEERMR_COMPLETION_REVOKED);
  }
  void restore() {
    ASSERT_EQ(call("peermr_native_dmabuf_restore", memory.fd), 0);
    ASSERT_EQ(peermr_region_recover(region, -1), 0) << peermr_last_error();
  }

  peermr_work work(peermr_operation operation, uint64_t id, uint64_t offset = 0,
                   uint32_t length = 8) const {
    peermr_work work{};
    work.size = sizeof(work);
    work.id = id;
    work.region = kRegion;
    work.offset = offset;
    work.local = {.region = nullptr,
                  .address = local->address(offset % kBytes),
                  .length = length,
                  .lkey = local->mr->lkey};
    work.operation = operation;
    return work;
  }
  int post(const peermr_work& work) { return peermr_connection_post(writer, &work); }
  void post_receive(uint64_t number) {
    const peermr_local to{.region = nullptr,
                          .address = inbox->address(number * 8),
                          .length = 8,
                          .lkey = inbox->mr->lkey};
    ASSERT_EQ(peermr_connection_post_receive(owner, number, &to), 0) << peermr_last_error();
  }

  peermr_qp_parameters qp{};
  peermr_connection_options options{};
  DeviceMemory memory;
  PdPtr writer_pd;
  PdPtr owner_pd;
  std::unique_ptr<Buffer> local;
  std::unique_ptr<Buffer> inbox;
  peermr_region* region = nullptr;
  peermr_connection* writer = nullptr;
  peermr_connection* owner = nullptr;
  std::vector<peermr_completion> completions;
  std::vector<peermr_completion> received;
  peermr_connection_event last_event{};
};

}  // namespace peermr::test
