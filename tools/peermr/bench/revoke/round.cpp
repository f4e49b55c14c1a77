// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/round.hpp"

#include <cerrno>
#include <chrono>
#include <vector>

#include "bench/slices.hpp"

namespace peermr::tool {
namespace {

using Clock = std::chrono::steady_clock;

class Stopwatch {
 public:
  explicit Stopwatch(double& microseconds) : microseconds_(microseconds) {}
  ~Stopwatch() {
    microseconds_ = std::chrono::duration<double, std::micro>(Clock::now() - begin_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& microseconds_;
  Clock::time_point begin_ = Clock::now();
};

struct Round {
  const BenchDevice& importer;
  WriteVerifier& verifier;
  vfio::Device& device;
  BarIndex bar;
  std::vector<vfio::BarRange> slices;
  std::vector<DmaBuf> buffers;
  std::vector<UniqueMr> regions;  // gone before the buffers
};

Result<void> export_all(Round& round) {
  for (const auto& slice : round.slices) {
    auto buffer = round.device.export_dma_buf(round.bar, slice);
    if (!buffer) return std::move(buffer).error();
    round.buffers.push_back(*std::move(buffer));
  }
  return {};
}

Result<void> map_all(Round& round) {
  constexpr int kAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  for (std::size_t i = 0; i < round.buffers.size(); ++i) {
    UniqueMr region(ibv_reg_dmabuf_mr(round.importer.pd(), 0, round.slices[i].length_bytes,
                                      slice_address(i), round.buffers[i].fd(), kAccess));
    if (!region) {
      return errno_error(errno, "register " + round.buffers[i].name() + " with",
                         round.importer.name());
    }
    round.regions.push_back(std::move(region));
  }
  return {};
}

Result<void> access_all(Round& round) {
  for (std::size_t i = 0; i < round.regions.size(); ++i) {
    auto written = round.verifier.write(slice_address(i), round.regions[i]->rkey);
    if (!written) return written;
  }
  return {};
}

}  // namespace

std::string_view to_string(Phase phase) noexcept {
  constexpr std::array<std::string_view, kPhases> kNames = {"export",  "map",    "revoke",
                                                            "restore", "access", "release"};
  return kNames[static_cast<std::size_t>(phase)];
}

Result<PhaseTimes> run_round(const BenchDevice& importer, WriteVerifier& verifier,
                             vfio::Device& device, BarIndex bar, vfio::BarRange range,
                             std::uint32_t buffers) {
  PhaseTimes times{};
  const auto time_of = [&times](Phase phase) -> double& {
    return times[static_cast<std::size_t>(phase)];
  };
  Round round{importer, verifier, device, bar, share_out(range, buffers), {}, {}};
  round.buffers.reserve(buffers);
  round.regions.reserve(buffers);

  const auto timed = [&time_of](Phase phase, auto&& step) -> Result<void> {
    Stopwatch watch(time_of(phase));
    return step();
  };
  if (auto done = timed(Phase::kExport, [&] { return export_all(round); }); !done) {
    return std::move(done).error();
  }
  if (auto done = timed(Phase::kMap, [&] { return map_all(round); }); !done) {
    return std::move(done).error();
  }
  for (const auto& [phase, on] :
       {std::pair(Phase::kRevoke, false), std::pair(Phase::kRestore, true)}) {
    const bool enable = on;
    auto done = timed(phase, [&] { return device.set_memory_enabled(enable); });
    if (!done) return std::move(done).error();
  }
  if (auto done = timed(Phase::kAccess, [&] { return access_all(round); }); !done) {
    return std::move(done).error();
  }
  if (auto right = verify_slices(device, bar, range, round.slices, verifier); !right) {
    return std::move(right).error();
  }
  auto released = timed(Phase::kRelease, [&]() -> Result<void> {
    round.regions.clear();
    round.buffers.clear();
    return {};
  });
  if (!released) return std::move(released).error();
  return times;
}

}  // namespace peermr::tool
