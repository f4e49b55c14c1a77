// SPDX-License-Identifier: BSD-2-Clause
//
// vend_stress [--rounds N] [--seed S]: a vendor whose borrowers are killed, stopped and reset under
// their feet. Whatever happens to a borrower, its slice is taken back, is zero, and is lent again.
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <peermr/peermr.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "harness/lab.hpp"
#include "vend/children.hpp"
#include "vend/client.hpp"

namespace vend_test {
namespace {

using namespace std::chrono_literals;
using namespace peermr;
using namespace guest_test;
using Kind = vend::VendorEvent::Kind;

constexpr std::size_t kClients = 4;
constexpr std::uint64_t kSliceBytes = 64 << 10;
constexpr vfio::BarRange kRange{.offset_bytes = 1 << 20, .length_bytes = 3 * kSliceBytes};
const std::string kSocket = "./vend.sock";

struct Counts {
  std::atomic<unsigned> lent{0}, overdue{0}, gone{0}, given_back{0}, zero{0}, lost{0};
};

class Stress {
 public:
  explicit Stress(std::uint64_t seed) : random_(seed) {
    memory_ = must(device_.map_bar(lab_bar("LAB_IVSHMEM_BAR"), kRange));
    vend::VendorOptions options;
    options.bar = lab_bar("LAB_IVSHMEM_BAR");
    options.range = kRange;
    options.slice_bytes = kSliceBytes;
    options.socket = kSocket;
    options.lease_time = 1s * time_scale();
    options.on_event = [this](const vend::VendorEvent& event) { note(event); };
    vendor_.emplace(must(vend::Vendor::create(device_, options)));
    for (auto& child : children_) child = spawn();
  }

  void round() {
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random_() % 400));
    const std::size_t which = random_() % kClients;
    switch (random_() % 10) {
      case 0:
        must_reset();
        break;
      case 1:
      case 2:
        stop_for_a_while(*children_[which]);
        break;
      default:
        kill(which);
    }
  }

  void finish() {
    stopping_ = true;
    for (auto& child : children_) {
      if (!child->end()) give_up("a client did not end well");
    }
    const auto held = vendor_->stop(10s * time_scale());
    if (!held.empty()) give_up("slices are still held at the end");
    std::printf(
        "%u loans: %u given back, %u overdue, %u of dead borrowers; %u kills, %u stops, "
        "%u resets, %u times found zero\n",
        counts_.lent.load(), counts_.given_back.load(), counts_.overdue.load(), counts_.gone.load(),
        kills_, stops_, resets_, counts_.zero.load());
    if (counts_.lost != 0) give_up("slices were lost");
    if (counts_.given_back == 0 || counts_.overdue == 0 || counts_.gone == 0 || counts_.zero == 0) {
      give_up("something that should happen did not");
    }
    vendor_.reset();
    const auto left = must(device_.exporter_info()).buffers;
    if (left != 0) give_up(std::to_string(left) + " buffers are left");
  }

 private:
  std::unique_ptr<Child> spawn() { return std::make_unique<Child>(kSocket, random_()); }

  // In the vendor's thread: nothing is lent meanwhile.
  void note(const vend::VendorEvent& event) {
    if (event.kind == Kind::kLent) ++counts_.lent;
    if (event.kind == Kind::kLost) {
      ++counts_.lost;
      std::fprintf(stderr, "lost: %s\n", event.error->message().c_str());
    }
    if (event.kind == Kind::kFree) check_zero(event.status.slice);
    if (event.kind != Kind::kTakenBack) return;
    if (event.status.end == vend::LoanEnd::kGivenBack) ++counts_.given_back;
    if (event.status.end == vend::LoanEnd::kOverdue) ++counts_.overdue;
    if (event.status.end == vend::LoanEnd::kBorrowerGone) ++counts_.gone;
    const std::lock_guard lock(children_mutex_);
    for (const auto& child : children_) {
      if (child && child->pid() == event.status.pid) child->tell(event.status.loan);
    }
  }

  void check_zero(std::uint32_t slice) {
    if (!vendor_) return;
    const auto status = vendor_->loans()[slice];
    // It may have been lent in the same turn, and while the vendor stops nothing is cleared.
    if (status.state != vend::SliceState::kFree || stopping_) return;
    const auto bytes = memory_.bytes().subspan(slice * kSliceBytes, kSliceBytes);
    if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; })) {
      give_up("a slice that is free again is not zero");
    }
    ++counts_.zero;
  }

  // Until no slice is lent to or held for this process.
  void expect_nothing_of(pid_t pid) const {
    const auto end = std::chrono::steady_clock::now() + 10s * time_scale();
    while (std::chrono::steady_clock::now() < end) {
      const auto slices = vendor_->loans();
      if (std::none_of(slices.begin(), slices.end(),
                       [pid](const auto& slice) { return slice.pid == pid; })) {
        return;
      }
      std::this_thread::sleep_for(2ms);
    }
    give_up("a slice is still held for a borrower that is dead or stopped");
  }

  void kill(std::size_t which) {
    const pid_t pid = children_[which]->pid();
    children_[which]->kill();
    expect_nothing_of(pid);
    auto next = spawn();
    const std::lock_guard lock(children_mutex_);
    children_[which] = std::move(next);
    ++kills_;
  }

  // With its memory regions registered and its connection open.
  void stop_for_a_while(const Child& child) {
    child.signal(SIGSTOP);
    std::this_thread::sleep_for(50ms);
    expect_nothing_of(child.pid());
    child.signal(SIGCONT);
    ++stops_;
  }

  void must_reset() {
    must(vendor_->reset());
    ++resets_;
  }

  vfio::Device device_ = must(vfio::Device::open(lab_bdf("LAB_IVSHMEM")));
  vfio::BarMapping memory_;
  std::mt19937_64 random_;
  Counts counts_;
  unsigned kills_ = 0, stops_ = 0, resets_ = 0;
  std::atomic<bool> stopping_{false};
  std::mutex children_mutex_;  // protects the array, not what its elements do
  std::array<std::unique_ptr<Child>, kClients> children_;
  std::optional<vend::Vendor> vendor_;
};

int run_vendor(unsigned rounds, std::uint64_t seed) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  Stress stress(seed);
  for (unsigned i = 0; i < rounds; ++i) stress.round();
  stress.finish();
  return 0;
}

}  // namespace
}  // namespace vend_test

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "client") == 0) {
    return vend_test::run_client(argv[2], std::strtoull(argv[3], nullptr, 10));
  }
  unsigned rounds = 40;
  std::uint64_t seed = std::random_device()();
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rounds") == 0)
      rounds = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  return vend_test::run_vendor(rounds, seed);
}
