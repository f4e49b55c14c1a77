// SPDX-License-Identifier: BSD-2-Clause
//
// Streams numbered records into a ring in the BAR of a device, and resets the device meanwhile. What
// was placed before a reset survives it if the device keeps its memory.
//
//   stream_to_bar 0000:04:00.0 2 pnic0 pnic1
//
// The device is bound to vfio-pci, and the first pages of the BAR are memory, not registers. Its
// owner uses the first RDMA device, the writer the second. Both are in this process, connected by a
// socket pair; elsewhere the socket would be TCP's.

#include <poll.h>
#include <sys/socket.h>

#include <peermr/peermr.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using namespace peermr;
using namespace std::chrono_literals;

template <typename T>
T or_exit(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

constexpr std::uint64_t kRecords = 20000, kRing = 512, kResets = 10;
constexpr RegionId kId{1};

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s BDF BAR OWNERS-RDMA-DEVICE WRITERS-RDMA-DEVICE\n", argv[0]);
    return 2;
  }
  const BarIndex bar(static_cast<std::uint8_t>(std::atoi(argv[2])));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  auto owners_nic = or_exit(verbs::Context::open(argv[3]));
  auto writers_nic = or_exit(verbs::Context::open(argv[4]));
  ibv_pd* owners_pd = ibv_alloc_pd(owners_nic.get());
  ibv_pd* writers_pd = ibv_alloc_pd(writers_nic.get());

  // The owner: a device, a part of its BAR, a region on it that its peer is told of.
  auto owner =
      or_exit(RcConnection::create(owners_pd, or_exit(StreamChannel::adopt(UniqueFd(ends[0])))));
  auto device = or_exit(vfio::Device::open(or_exit(Bdf::parse(argv[1]))));
  auto buffer = or_exit(device.export_dma_buf(bar, {.offset_bytes = 0, .length_bytes = kRing * 8}));
  auto region = or_exit(Region::create(owners_pd, buffer, {.on_event = owner.wake_on_change()}));
  or_exit(owner.publish(kId, region));

  // The writer: what it has written, and what it has to write again.
  auto writer =
      or_exit(RcConnection::create(writers_pd, or_exit(StreamChannel::adopt(UniqueFd(ends[1])))));
  std::vector<std::uint64_t> records(kRing);
  ibv_mr* source = ibv_reg_mr(writers_pd, records.data(), kRing * 8, IBV_ACCESS_LOCAL_WRITE);
  std::uint64_t next = 0;
  std::atomic<std::uint64_t> placed{0};
  bool placing = false;

  std::thread resets([&] {
    for (std::uint64_t i = 0; i < kResets; ++i) {
      while (placed < i * (kRecords / kResets)) std::this_thread::sleep_for(1ms);
      or_exit(device.reset());
    }
  });
  while (placed < kRecords) {
    pollfd waits[2] = {{owner.fd(), POLLIN, 0}, {writer.fd(), POLLIN, 0}};
    ::poll(waits, 2, 100);
    or_exit(owner.process());
    or_exit(writer.process());
    while (const auto event = writer.next_event()) {
      if (event->kind != ConnectionEvent::Kind::kRegion) continue;
      std::printf("region is %s, generation %d, %d records placed\n",
                  to_string(event->region.state).data(),
                  static_cast<int>(event->region.generation.value()),
                  static_cast<int>(placed.load()));
    }
    // All of them: what is left in there wakes nobody.
    for (std::array<Completion, 1> done; writer.poll(done) != 0;) {
      if (done[0].operation == Operation::kPlace) placing = false;
      if (done[0].status == CompletionStatus::kFailed) {
        std::fprintf(stderr, "%s\n", ibv_wc_status_str(done[0].wc_status));
        std::exit(1);
      }
      if (done[0].status != CompletionStatus::kSuccess) {
        next = placed;  // what was not placed is written again
      } else if (done[0].operation == Operation::kPlace) {
        placed = done[0].id;
      }
    }
    // Half a ring, then wait until it is in the memory of the device.
    if (placing || placed >= kRecords || !writer.remote_region(kId)) continue;
    for (; next < placed + kRing / 2; ++next) {
      records[next % kRing] = next + 1;
      if (!writer.post({.operation = Operation::kWrite,
                        .id = next,
                        .region = kId,
                        .offset_bytes = next % kRing * 8,
                        .local = LocalMemory::of(Lkey(source->lkey), &records[next % kRing], 8)})) {
        break;
      }
    }
    if (next < placed + kRing / 2) continue;
    placing = writer.post({.operation = Operation::kPlace, .id = next, .region = kId}).has_value();
  }
  resets.join();
  std::printf("%d records placed in %d generations\n", static_cast<int>(placed.load()),
              static_cast<int>(region.generation().value()) + 1);
  ibv_dereg_mr(source);
}
