// SPDX-License-Identifier: BSD-2-Clause
#include "soak/roles.hpp"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "soak/devices.hpp"
#include "soak/owner.hpp"
#include "soak/trouble.hpp"
#include "soak/writer.hpp"

namespace soak {

using namespace peermr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

const std::chrono::seconds kDeadline{20 * guest_test::time_scale()};

/// One end of each connection, in a loop until all are dead.
template <typename End>
class Survivor {
 public:
  void add(std::unique_ptr<End> end) { ends_.push_back({std::move(end), std::nullopt}); }
  /// To be closed once there was a message.
  void announce_with(UniqueFd traffic) { traffic_ = std::move(traffic); }

  /// An exit status, with a line that says why if it is not good: an end did not die as it should,
  /// or not at all.
  int run() {
    const auto begun = Clock::now();
    std::optional<Clock::time_point> first_death;
    for (std::size_t dead = 0; dead < ends_.size();) {
      wait();
      for (One& one : ends_) {
        if (one.error) continue;
        const auto done = one.end->turn();
        if (done) continue;
        one.error = done.error();
        ++dead;
        if (!first_death) first_death = Clock::now();
      }
      if (traffic_ && had_traffic()) traffic_.reset();
      const auto since = traffic_ ? begun : first_death.value_or(Clock::now());
      if (Clock::now() - since < kDeadline) continue;
      for (const One& one : ends_) {
        if (!one.error) complain(traffic_ ? "no traffic" : "it hangs", one);
      }
      return kEndedBadly;
    }
    if (!all_ended_well()) return kEndedBadly;
    return had_traffic() ? kEndedWell : kEndedEarly;
  }

 private:
  struct One {
    std::unique_ptr<End> end;
    std::optional<Error> error;
  };

  void wait() const {
    std::vector<pollfd> waits;
    for (const One& one : ends_) {
      if (!one.error) waits.push_back({one.end->fd(), POLLIN, 0});
    }
    ::poll(waits.data(), waits.size(), 20);
  }

  bool all_ended_well() {
    bool well = true;
    for (One& one : ends_) {
      std::string why = one.end->end();
      if (one.error->code() != std::errc::connection_reset) why = one.error->message();
      if (why.empty()) continue;
      complain(why, one);
      well = false;
    }
    return well;
  }

  bool had_traffic() const {
    return std::any_of(ends_.begin(), ends_.end(),
                       [](const One& one) { return messages_of(*one.end) != 0; });
  }

  static std::uint64_t messages_of(const Owner& end) { return end.due(); }
  static std::uint64_t messages_of(const Writer& end) { return end.acknowledged(); }

  static void complain(const std::string& why, const One& one) {
    std::printf("%s; %s\n", why.c_str(), one.end->describe().c_str());
  }

  std::vector<One> ends_;
  UniqueFd traffic_;
};

// Whether one end alone can tell that something was wrong.
bool saw_bad(const Counts& counts) {
  return counts.missing + counts.twice + counts.wrong + counts.stuck + counts.unexplained != 0;
}

// That a peer is gone is expected here.
void keep_library_quiet() {
  set_log_level(LogLevel::kError);
}

}  // namespace

int run_owner(std::uint64_t seed, std::vector<UniqueFd> sockets, UniqueFd traffic) {
  keep_library_quiet();
  Counts counts;
  const Monitor monitor = guest_test::must(Monitor::create());
  std::vector<Owned> devices = open_devices();
  std::vector<DmaBuf> buffers;
  std::vector<std::unique_ptr<Troublemaker>> makers;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    buffers.push_back(devices[i].export_part(0));
    makers.push_back(
        std::make_unique<Troublemaker>(devices[i].device, *devices[i].trouble, seed + i));
  }
  Survivor<Owner> survivor;
  survivor.announce_with(std::move(traffic));
  for (unsigned i = 0; i < sockets.size(); ++i) {
    const std::size_t device = i % devices.size();
    survivor.add(std::make_unique<Owner>(
        OwnerPlan{
            .number = i,
            .nic = "LAB_NIC1",
            .buffer = &buffers[device],
            .keys = devices[device].fresh && i % 2 == 0 ? KeyPolicy::kFresh : KeyPolicy::kStable,
            .monitor = &monitor},
        std::move(sockets[i]), counts));
  }
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (auto& maker : makers) threads.emplace_back([&] { maker->run(stop); });
  const int status = survivor.run();
  stop = true;
  for (auto& thread : threads) thread.join();
  const bool failed = std::any_of(makers.begin(), makers.end(),
                                  [](const auto& maker) { return maker->failures() != 0; });
  return saw_bad(counts) || failed ? kEndedBadly : status;
}

int run_writer(std::uint64_t seed, std::vector<UniqueFd> sockets) {
  keep_library_quiet();
  Counts counts;
  Survivor<Writer> survivor;
  for (unsigned i = 0; i < sockets.size(); ++i) {
    survivor.add(
        std::make_unique<Writer>(WriterPlan{.number = i,
                                            .nic = "LAB_NIC0",
                                            .policy = i % 2 == 0 ? NewGenerationPolicy::kGiveBack
                                                                 : NewGenerationPolicy::kReplay,
                                            .seed = seed + i},
                                 std::move(sockets[i]), counts));
  }
  const int status = survivor.run();
  return saw_bad(counts) ? kEndedBadly : status;
}

}  // namespace soak
