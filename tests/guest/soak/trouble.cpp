// SPDX-License-Identifier: BSD-2-Clause
#include "soak/trouble.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

namespace soak {

using namespace peermr;

std::string_view to_string(Kind kind) {
  constexpr std::array<std::string_view, kKinds.size()> kNames = {"reset", "decode", "sleep",
                                                                  "others_reset", "quiesce"};
  return kNames[static_cast<std::size_t>(kind)];
}

Troublemaker::Troublemaker(vfio::Device& device, std::shared_mutex& trouble, std::uint64_t seed)
    : device_(device), trouble_(trouble), random_(seed) {
  const auto awake = device_.set_power(vfio::PowerState::kD0);
  sleeps_ = awake || awake.error().code() != std::errc::not_supported;
}

void Troublemaker::run(const std::atomic<bool>& stop) {
  while (!stop) {
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20000));
    const Kind kind = kKinds[random_() % kKinds.size()];
    if (!can(kind)) continue;
    const std::shared_lock making(trouble_);
    if (const auto made = make(kind)) {
      ++done_[static_cast<std::size_t>(kind)];
    } else {
      ++failures_;
      std::printf("failed: %s of %s: %s\n", to_string(kind).data(),
                  device_.bdf().to_string().c_str(), made.error().message().c_str());
    }
  }
}

Result<void> Troublemaker::make(Kind kind) {
  switch (kind) {
    case Kind::kReset: {
      const auto report = device_.reset();
      if (!report) return report.error();
      return {};
    }
    case Kind::kDecode:
      if (auto off = device_.set_memory_enabled(false); !off) return off;
      return device_.set_memory_enabled(true);
    case Kind::kSleep:
      if (auto asleep = device_.set_power(vfio::PowerState::kD3hot); !asleep) return asleep;
      return device_.set_power(vfio::PowerState::kD0);
    case Kind::kOthersReset:
      return others_reset();
    case Kind::kQuiesce:
      if (auto quiet = device_.quiesce(); !quiet) return quiet;
      return device_.resume();
  }
  return {};
}

// As somebody else on the machine does it, of whom the library is not told.
Result<void> Troublemaker::others_reset() const {
  const std::string path = "/sys/bus/pci/devices/" + device_.bdf().to_string() + "/reset";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), "1", 1) != 1) return errno_error(errno, "reset through", path);
  return {};
}

}  // namespace soak
