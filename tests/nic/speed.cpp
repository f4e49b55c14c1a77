// SPDX-License-Identifier: BSD-2-Clause
//
// How fast pnicd moves data between two NICs, without a guest in the way: one client thread posts,
// pnicd copies. Not a test: figures depend on the machine. Every row's data is verified.

#include <cstdio>
#include <cstring>
#include <thread>

#include "pnicd_process.hpp"
#include "queues.hpp"

namespace peermr::test {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr uint64_t kBytes = 32 << 20;
constexpr uint64_t kIova = 0x10'0000'0000;

struct End {
  End(const std::string& socket, std::shared_ptr<GuestMemory> memory)
      : nic(socket, memory),
        events(nic, 1),
        cq(nic, events.eqn),
        pdn(nic.alloc_pd()),
        bus(memory->alloc(kBytes)),
        key(nic.create_mr(
            pdn, bus, kIova, kBytes,
            PNIC_ACCESS_LOCAL_WRITE | PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ)),
        qp(nic, pdn, cq, cq, {.log_size = 7, .sq_stride_shift = 6}) {}
  PnicClient nic;
  EventRing events;
  CompletionRing cq;
  uint32_t pdn;
  uint64_t bus;
  uint32_t key;
  QueuePairClient qp;
};

double self_copy_gbs(PnicClient& nic, uint32_t bytes) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_SELF_TEST_COPY);
  c.u.self_test.bytes = bytes;
  c.u.self_test.iterations = PNIC_SELF_TEST_MAX_ITERATIONS;
  return double(bytes) * PNIC_SELF_TEST_MAX_ITERATIONS / double(nic.must(c));
}

/// Like perftest, the same buffer over and over: it stays in the cache as far as it fits.
QueuePairClient::Send request(const End& a, const End& b, uint8_t opcode, uint32_t bytes) {
  QueuePairClient::Send send;
  send.opcode = opcode;
  send.sges = {{kIova, bytes, a.key}};
  send.remote_addr = kIova;
  send.rkey = b.key;
  return send;
}

/// Keeps `depth` requests outstanding; GB/s and million messages a second.
void bandwidth(End& a, End& b, const char* name, uint8_t opcode, uint32_t bytes) {
  constexpr uint64_t kDepth = 32;
  const uint64_t total =
      std::max<uint64_t>(200, std::min<uint64_t>(200000, (uint64_t{4} << 30) / bytes));
  fill_pattern(a.nic.memory->span(a.bus, kBytes), bytes);
  fill_pattern(a.nic.memory->span(b.bus, kBytes), bytes + 1);
  uint64_t posted = 0;
  uint64_t done = 0;
  const auto begin = SteadyClock::now();
  while (done < total) {
    const uint64_t before = posted;
    for (; posted < total && posted - done < kDepth; ++posted)
      a.qp.post(request(a, b, opcode, bytes));
    if (posted != before) a.qp.ring();
    while (auto cqe = a.cq.poll()) {
      if (cqe->status != PNIC_CQE_SUCCESS) throw std::runtime_error("completion with an error");
      ++done;
    }
  }
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  const bool same = std::memcmp(a.nic.memory->at(a.bus), b.nic.memory->at(b.bus), bytes) == 0;
  std::printf("%-6s %8u  %8.2f GB/s  %6.3f M/s  %s\n", name, bytes,
              double(total) * bytes / seconds / 1e9, double(total) / seconds / 1e6,
              same ? "verified" : "WRONG DATA");
}

/// One request at a time, the next after its completion; optionally after a pause in which the
/// engine falls asleep.
void latency(End& a, End& b, const char* name, uint8_t opcode, std::chrono::microseconds pause) {
  std::vector<double> times;
  const uint64_t kicks_before = a.nic.stat(PNIC_STAT_KICK);
  for (int i = 0; i < 2000; ++i) {
    const auto wake = SteadyClock::now() + pause;
    while (SteadyClock::now() < wake) {
    }
    const auto begin = SteadyClock::now();
    a.qp.post(request(a, b, opcode, 8));
    a.qp.ring();
    while (!a.cq.poll()) {
    }
    times.push_back(std::chrono::duration<double, std::micro>(SteadyClock::now() - begin).count());
  }
  const uint64_t kicks = a.nic.stat(PNIC_STAT_KICK) - kicks_before;
  std::sort(times.begin(), times.end());
  std::printf("%-24s median %7.2f us   p99 %7.2f us   %llu kicks\n", name, times[times.size() / 2],
              times[times.size() * 99 / 100], static_cast<unsigned long long>(kicks));
}

/// Two ends that both poll, each waiting for the other's write: with pnicd three busy threads.
void ping_pong(End& a, End& b) {
  constexpr uint64_t kRounds = 1000;
  const auto send = [](End& from, const End& to, uint64_t value) {
    std::memcpy(from.nic.memory->at(from.bus), &value, sizeof(value));
    auto write = request(from, to, PNIC_WQE_RDMA_WRITE, 8);
    write.remote_addr = kIova + 4096;
    from.qp.post(write);
    from.qp.ring();
    while (from.cq.poll()) {
    }
  };
  const auto wait = [](End& at, uint64_t value) {
    auto* seen = reinterpret_cast<volatile uint64_t*>(at.nic.memory->at(at.bus + 4096));
    while (*seen != value) {
    }
  };
  std::thread other([&] {
    for (uint64_t i = 1; i <= kRounds; ++i) {
      wait(b, i);
      send(b, a, i);
    }
  });
  std::vector<double> times;
  for (uint64_t i = 1; i <= kRounds; ++i) {
    const auto begin = SteadyClock::now();
    send(a, b, i);
    wait(a, i);
    times.push_back(std::chrono::duration<double, std::micro>(SteadyClock::now() - begin).count() /
                    2);
  }
  other.join();
  std::sort(times.begin(), times.end());
  std::printf("%-24s median %7.2f us   p99 %7.2f us   %llu kicks\n", "write 8, both ends poll",
              times[times.size() / 2], times[times.size() * 99 / 100],
              static_cast<unsigned long long>(a.nic.stat(PNIC_STAT_KICK)));
}

void measure() {
  PnicdProcess pnicd(2);
  auto memory = std::make_shared<GuestMemory>(256u << 20);
  End a(pnicd.socket(0), memory);
  End b(pnicd.socket(1), memory);
  QueuePairClient::Connection to;
  to.lid = 2;
  to.qpn = b.qp.qpn;
  a.qp.connect(to);
  to.lid = 1;
  to.qpn = a.qp.qpn;
  b.qp.connect(to);
  for (const uint32_t bytes : {65536u, 1u << 20, 16u << 20}) {
    std::printf("plain copy in pnicd %8u  %8.2f GB/s\n", bytes, self_copy_gbs(a.nic, bytes));
  }
  for (const uint32_t bytes : {8u, 4096u, 65536u, 1u << 20}) {
    bandwidth(a, b, "write", PNIC_WQE_RDMA_WRITE, bytes);
    bandwidth(a, b, "read", PNIC_WQE_RDMA_READ, bytes);
  }
  using std::chrono::microseconds;
  latency(a, b, "read 8, engine awake", PNIC_WQE_RDMA_READ, microseconds(0));
  latency(a, b, "read 8, engine asleep", PNIC_WQE_RDMA_READ, microseconds(500));
  ping_pong(a, b);
}

}  // namespace
}  // namespace peermr::test

int main() {
  try {
    peermr::test::measure();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
