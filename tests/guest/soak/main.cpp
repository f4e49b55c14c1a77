// SPDX-License-Identifier: BSD-2-Clause
//
// Verified traffic between two NICs into memory of several VFIO devices, while that memory is
// reset, switched off, put to sleep and reset by others at random moments. What was acknowledged
// must be there, unless the application was told of a new generation; who uses keys of earlier
// generations must not get in; nothing may be stuck or left. Some of the traffic goes through
// connections, whose messages have to be taken once and in order.
//
//   soak [--seed N] [--seconds N] [--threads N] [--connections N]
//
// --threads: streams with queue pairs of their own.
// Ends with a line of JSON, on SIGTERM earlier.

#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "soak/connected.hpp"
#include "soak/devices.hpp"
#include "soak/report.hpp"
#include "soak/stream.hpp"
#include "soak/trouble.hpp"

namespace {

using namespace soak;
using namespace peermr;
using namespace guest_test;
using Clock = std::chrono::steady_clock;

std::atomic<bool> told_to_end{false};

struct Options {
  std::uint64_t seed = std::random_device()();
  double seconds = 20;
  unsigned threads = 6;
  unsigned connections = 4;
};

[[noreturn]] void usage() {
  std::fprintf(stderr, "usage: soak [--seed N] [--seconds N] [--threads N] [--connections N]\n");
  std::exit(2);
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) usage();
    const std::string_view name = argv[i];
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(argv[i + 1], &end, 10);
    if (end == argv[i + 1] || *end != '\0') usage();
    if (name == "--seed") {
      options.seed = value;
    } else if (name == "--seconds") {
      options.seconds = static_cast<double>(value);
    } else if (name == "--threads") {
      options.threads = static_cast<unsigned>(value);
    } else if (name == "--connections") {
      options.connections = static_cast<unsigned>(value);
    } else {
      usage();
    }
  }
  std::printf("--seed %llu --seconds %g --threads %u --connections %u\n",
              static_cast<unsigned long long>(options.seed), options.seconds, options.threads,
              options.connections);
  return options;
}

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

class Soak {
 public:
  Soak(const Options& options, Counts& counts)
      : options_(options), random_(options.seed), counts_(counts) {
    for (unsigned i = 0; i < options.threads; ++i) add_stream(i);
    // Any four in a row have all combinations of key policy and what becomes of work in a new
    // generation; any twelve, on each device.
    const auto first = static_cast<unsigned>(random_() % 12);
    for (unsigned i = 0; i < options.connections; ++i) {
      add_connection(options.threads + i, first + i);
    }
    for (Owned& owned : devices_) {
      trouble_.push_back(std::make_unique<Troublemaker>(owned.device, *owned.trouble, random_()));
    }
  }

  Totals run() {
    std::atomic<bool> stop_trouble = false, stop = false;
    std::vector<std::thread> threads;
    for (auto& stream : streams_) threads.emplace_back([&] { stream->run(stop); });
    for (auto& stream : connected_) threads.emplace_back([&] { stream->run(stop); });
    std::vector<std::thread> trouble;
    for (auto& maker : trouble_) trouble.emplace_back([&] { maker->run(stop_trouble); });
    for (const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
         Clock::now() < end && !told_to_end;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    // The memory stays from here on: what is under way comes to a good end.
    stop_trouble = true;
    for (auto& thread : trouble) thread.join();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop = true;
    for (auto& thread : threads) thread.join();
    return totals();
  }

 private:
  void add_stream(unsigned number) {
    Owned& owned = devices_[number % devices_.size()];
    const bool swap = (number / devices_.size()) % 2 == 1;
    const char* target = swap ? "LAB_NIC0" : "LAB_NIC1";
    add_buffer(owned, number, target);
    streams_.push_back(std::make_unique<Stream>(
        StreamPlan{
            .number = number,
            .initiator = swap ? "LAB_NIC1" : "LAB_NIC0",
            .target = target,
            .buffer = buffers_.back().get(),
            .keys = owned.fresh && (number / 2) % 2 == 0 ? KeyPolicy::kFresh : KeyPolicy::kStable,
            .monitor = &monitor_,
            .trouble = owned.trouble.get(),
            .seed = random_()},
        counts_));
  }

  void add_connection(unsigned number, unsigned variant) {
    Owned& owned = devices_[variant % devices_.size()];
    const bool swap = variant % 2 == 1;
    const char* target = swap ? "LAB_NIC0" : "LAB_NIC1";
    add_buffer(owned, number, target);
    mappings_.push_back(std::make_unique<vfio::BarMapping>(owned.map_part(number)));
    connected_.push_back(std::make_unique<ConnectedStream>(
        ConnectedPlan{.owner = {.number = number,
                                .nic = target,
                                .buffer = buffers_.back().get(),
                                .keys = owned.fresh && variant % 2 == 0 ? KeyPolicy::kFresh
                                                                        : KeyPolicy::kStable,
                                .monitor = &monitor_},
                      .writer = {.number = number,
                                 .nic = swap ? "LAB_NIC1" : "LAB_NIC0",
                                 .policy = (variant / 2) % 2 == 0 ? NewGenerationPolicy::kGiveBack
                                                                  : NewGenerationPolicy::kReplay,
                                 .seed = random_()},
                      .memory = mappings_.back().get(),
                      .trouble = owned.trouble.get()},
        counts_));
  }

  void add_buffer(const Owned& owned, unsigned number, const char* target) {
    buffers_.push_back(std::make_unique<DmaBuf>(owned.export_part(number)));
    watches_.push_back(must(Watch::create(*buffers_.back(), lab_bdf(target))));
  }

  Totals totals() const {
    Totals totals;
    for (const Watch& watch : watches_) totals.invalidates += must(watch.status()).total;
    for (const auto& stream : streams_) totals.generations += stream->generation().value();
    for (const auto& stream : connected_) totals.generations += stream->generation().value();
    for (const auto& maker : trouble_) {
      totals.failures += maker->failures();
      for (std::size_t i = 0; i < kKinds.size(); ++i) {
        totals.done[i] += maker->done(kKinds[i]);
        totals.possible[i] = totals.possible[i] || maker->can(kKinds[i]);
      }
    }
    return totals;
  }

  const Options options_;
  std::mt19937_64 random_;
  Counts& counts_;
  Monitor monitor_ = must(Monitor::create());
  std::vector<Owned> devices_ = open_devices();
  std::vector<std::unique_ptr<DmaBuf>> buffers_;
  std::vector<Watch> watches_;
  std::vector<std::unique_ptr<vfio::BarMapping>> mappings_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<ConnectedStream>> connected_;
  std::vector<std::unique_ptr<Troublemaker>> trouble_;
};

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const Options options = parse_options(argc, argv);
  struct sigaction action = {};
  action.sa_handler = [](int) { told_to_end = true; };
  sigaction(SIGTERM, &action, nullptr);
  const std::size_t files = open_files();
  Counts counts;
  auto soak = std::make_unique<Soak>(options, counts);
  const Totals totals = soak->run();
  soak.reset();
  const std::size_t files_left = open_files() - files;
  return report(counts, totals, options.threads != 0, options.connections != 0, files_left) ? 0 : 1;
}
