// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/round.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <vector>

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

std::vector<vfio::BarRange> share_out(vfio::BarRange range, std::uint32_t count) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t pages = std::max<std::uint64_t>(range.length_bytes / page, 1);
  const std::uint64_t each = std::max<std::uint64_t>(pages / count, 1);
  std::vector<vfio::BarRange> slices;
  for (std::uint64_t i = 0; i < count; ++i) {
    slices.push_back({range.offset_bytes + i * each % pages * page, each * page});
  }
  return slices;
}

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
    // An address of the buffer's own, so that none is right by accident.
    const std::uint64_t address = (i + 1) << 40;
    UniqueMr region(ibv_reg_dmabuf_mr(round.importer.pd(), 0, round.slices[i].length_bytes, address,
                                      round.buffers[i].fd(), kAccess));
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
    const std::uint64_t address = (i + 1) << 40;
    auto written = round.verifier.write(address, round.regions[i]->rkey);
    if (!written) return written;
  }
  return {};
}

// Buffers that overlap have the last write only: those are compared that nobody wrote over.
Result<void> verify_all(const Round& round, vfio::BarRange range) {
  auto mapping = round.device.map_bar(round.bar, range);
  if (!mapping) return std::move(mapping).error();
  const std::uint64_t each = round.slices.front().length_bytes;
  const std::size_t distinct = std::min<std::size_t>(
      round.slices.size(), std::max<std::uint64_t>(range.length_bytes / each, 1));
  for (std::size_t ago = 0; ago < distinct; ++ago) {
    const vfio::BarRange& slice = round.slices[round.slices.size() - 1 - ago];
    auto* base = mapping->bytes().data() + (slice.offset_bytes - range.offset_bytes);
    const Words words(reinterpret_cast<std::uint64_t*>(base),
                      slice.length_bytes / sizeof(std::uint64_t));
    if (!round.verifier.found_in(words, ago)) {
      return make_error(std::errc::io_error, "verify a write to",
                        round.buffers[round.slices.size() - 1 - ago].name(),
                        "the memory does not hold what was written after the restore");
    }
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
  if (auto right = verify_all(round, range); !right) return std::move(right).error();
  auto released = timed(Phase::kRelease, [&]() -> Result<void> {
    round.regions.clear();
    round.buffers.clear();
    return {};
  });
  if (!released) return std::move(released).error();
  return times;
}

}  // namespace peermr::tool
