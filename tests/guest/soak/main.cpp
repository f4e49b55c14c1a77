// SPDX-License-Identifier: BSD-2-Clause
//
// Verified traffic between two NICs into memory of several VFIO devices, while that memory is reset,
// switched off, put to sleep and reset by others at random moments. What was acknowledged must be
// there, unless the application was told of a new generation; who uses keys of earlier generations
// must not get in; nothing may be stuck or left.
//
//   soak [--seed N] [--seconds N] [--threads N]     --threads: streams
//
// Ends with a line of JSON.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "fuzz/ioctl_fuzz.hpp"
#include "soak/stream.hpp"
#include "soak/trouble.hpp"

namespace {

using namespace soak;
using namespace peermr;
using namespace guest_test;

constexpr std::uint64_t kPart = 64 << 10;  // of a BAR, for each stream

struct Owned {
  vfio::Device device;
  BarIndex bar;
  bool fresh;  // its exporter and the importer can keep fresh keys
};

struct Totals {
  std::uint64_t invalidates = 0;
  std::uint64_t generations = 0;
  std::uint64_t failures = 0;
  std::array<std::uint64_t, kKinds.size()> done{};
  std::array<bool, kKinds.size()> possible{};  ///< with any of the devices
};

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// SOAK_DEVICES, a list of names, chooses some of the lab's.
bool is_chosen(std::string_view name) {
  const char* chosen = std::getenv("SOAK_DEVICES");
  return chosen == nullptr || std::string_view(chosen).find(name) != std::string_view::npos;
}

std::vector<Owned> open_devices() {
  const auto container = must(vfio::Container::create());
  std::vector<Owned> devices;
  for (const auto& [name, bar] : {std::pair("LAB_MEM0", "LAB_MEM_BAR"), {"LAB_MEM1", "LAB_MEM_BAR"},
                                  {"LAB_IVSHMEM", "LAB_IVSHMEM_BAR"}}) {
    if (!is_chosen(name)) continue;
    auto device = must(vfio::Device::open(lab_bdf(name), {.container = container}));
    const auto& features = device.exporter_features();
    const bool fresh = features.revoke && features.manual_rearm;
    devices.push_back({std::move(device), lab_bar(bar), fresh});
  }
  return devices;
}

class Soak {
 public:
  Soak(const fuzz::Options& options, Counts& counts)
      : options_(options), random_(options.seed), counts_(counts) {
    for (unsigned i = 0; i < options.threads; ++i) add_stream(i);
    for (Owned& owned : devices_) {
      trouble_.push_back(std::make_unique<Troublemaker>(owned.device, making_trouble_, random_()));
    }
  }

  Totals run() {
    std::atomic<bool> stop_trouble = false, stop = false;
    std::vector<std::thread> threads;
    for (auto& stream : streams_) threads.emplace_back([&] { stream->run(stop); });
    std::vector<std::thread> trouble;
    for (auto& maker : trouble_) trouble.emplace_back([&] { maker->run(stop_trouble); });
    std::this_thread::sleep_for(std::chrono::duration<double>(options_.seconds));
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
    buffers_.push_back(std::make_unique<DmaBuf>(must(owned.device.export_dma_buf(
        owned.bar, {.offset_bytes = number * kPart, .length_bytes = kPart}))));
    const char* target = swap ? "LAB_NIC0" : "LAB_NIC1";
    watches_.push_back(must(Watch::create(*buffers_.back(), lab_bdf(target))));
    streams_.push_back(std::make_unique<Stream>(
        StreamPlan{.number = number,
                   .initiator = swap ? "LAB_NIC1" : "LAB_NIC0",
                   .target = target,
                   .buffer = buffers_.back().get(),
                   .keys = owned.fresh && (number / 2) % 2 == 0 ? KeyPolicy::kFresh
                                                                : KeyPolicy::kStable,
                   .monitor = &monitor_,
                   .trouble = &making_trouble_,
                   .seed = random_()},
        counts_));
  }

  Totals totals() const {
    Totals totals;
    for (const Watch& watch : watches_) totals.invalidates += must(watch.status()).total;
    for (const auto& stream : streams_) totals.generations += stream->generation().value();
    for (const auto& maker : trouble_) {
      totals.failures += maker->failures();
      for (std::size_t i = 0; i < kKinds.size(); ++i) {
        totals.done[i] += maker->done(kKinds[i]);
        totals.possible[i] = totals.possible[i] || maker->can(kKinds[i]);
      }
    }
    return totals;
  }

  const fuzz::Options options_;
  std::mt19937_64 random_;
  Counts& counts_;
  std::shared_mutex making_trouble_;
  Monitor monitor_ = must(Monitor::create());
  std::vector<Owned> devices_ = open_devices();
  std::vector<std::unique_ptr<DmaBuf>> buffers_;
  std::vector<Watch> watches_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Troublemaker>> trouble_;
};

/// Whether all that must be 0 is, and all that must happen did.
bool report(const Counts& counts, const Totals& totals, std::size_t files_left) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("{\"missing\": %llu, \"intruded\": %llu, \"stuck\": %llu, \"unexplained\": %llu, "
              "\"failures\": %llu, \"files_left\": %llu, ",
              number(counts.missing), number(counts.intruded), number(counts.stuck),
              number(counts.unexplained), number(totals.failures), number(files_left));
  std::printf("\"operations\": %llu, \"writes\": %llu, \"verified\": %llu, \"errors\": %llu, "
              "\"intrusions\": %llu, \"invalidates\": %llu, \"generations\": %llu",
              number(counts.writes + counts.reads), number(counts.writes), number(counts.verified),
              number(counts.errors), number(counts.intrusions), number(totals.invalidates),
              number(totals.generations));
  for (const Kind kind : kKinds) {
    std::printf(", \"%s\": %llu", to_string(kind).data(),
                number(totals.done[static_cast<std::size_t>(kind)]));
  }
  std::printf("}\n");
  bool happened = counts.writes > 0 && counts.verified > 0 && counts.intrusions > 0 &&
                  totals.invalidates > 0;
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    happened = happened && (totals.done[i] > 0 || !totals.possible[i]);
  }
  if (!happened) std::printf("FAILED: something never happened\n");
  return happened && counts.missing + counts.intruded + counts.stuck + counts.unexplained +
                             totals.failures + files_left ==
                         0;
}

}  // namespace

int main(int argc, char** argv) {
  const fuzz::Options options = fuzz::parse_options(argc, argv, {.seconds = 20, .threads = 6});
  const std::size_t files = open_files();
  Counts counts;
  auto soak = std::make_unique<Soak>(options, counts);
  const Totals totals = soak->run();
  soak.reset();
  return report(counts, totals, open_files() - files) ? 0 : 1;
}
