// SPDX-License-Identifier: BSD-2-Clause
#include "bench/recover/round.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <vector>

#include "bench/slices.hpp"
#include "peermr/region.hpp"

namespace peermr::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

double& of(RecoverTimes& times, RecoverPhase phase) {
  return times[static_cast<std::size_t>(phase)];
}

/// Registrations of all slices, and a way to bring them back.
class Subjects {
 public:
  virtual ~Subjects() = default;
  virtual Result<void> add(const DmaBuf& buffer, std::uint64_t address) = 0;
  [[nodiscard]] virtual Result<std::uint32_t> rkey(std::size_t index) const = 0;
  /// Resets the device and brings all back; sets the times of that.
  virtual Result<void> reset(vfio::Device& device, RecoverTimes& times) = 0;
};

class PlainRegistrations final : public Subjects {
 public:
  explicit PlainRegistrations(const BenchDevice& importer) : importer_(importer) {}

  Result<void> add(const DmaBuf& buffer, std::uint64_t address) override {
    subjects_.push_back({buffer.share(), address, nullptr});
    return enter(subjects_.back());
  }

  Result<std::uint32_t> rkey(std::size_t index) const override { return subjects_[index].mr->rkey; }

  // The device has no regions of the library's: it does nothing but reset.
  Result<void> reset(vfio::Device& device, RecoverTimes& times) override {
    const auto report = device.reset();
    if (!report) return report.error();
    of(times, RecoverPhase::kReset) = microseconds(report->reset);
    const auto begin = Clock::now();
    for (Subject& subject : subjects_) {
      auto back = faultable() ? probe(subject) : enter(subject);
      if (!back) return back;
    }
    of(times, RecoverPhase::kRegister) = microseconds(Clock::now() - begin);
    return {};
  }

 private:
  struct Subject {
    DmaBuf buffer;
    std::uint64_t address;
    UniqueMr mr;
  };

  [[nodiscard]] bool faultable() const {
    return importer_.info().importer == verbs::ImporterClass::kFaultable;
  }

  Result<UniqueMr> made(const Subject& subject, std::uint64_t length_bytes) {
    UniqueMr mr(ibv_reg_dmabuf_mr(importer_.pd(), 0, length_bytes, subject.address,
                                  subject.buffer.fd(), kAccess));
    if (mr) return mr;
    return errno_error(errno, "register " + subject.buffer.name() + " with", importer_.name());
  }

  // Whether it was revoked or is new: the registration before, if any, goes.
  Result<void> enter(Subject& subject) {
    auto mr = made(subject, subject.buffer.size_bytes());
    if (!mr) return mr.error();
    subject.mr = *std::move(mr);
    return {};
  }

  Result<void> probe(const Subject& subject) {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    auto mr = made(subject, page);
    if (!mr) return mr.error();
    return {};
  }

  const BenchDevice& importer_;
  std::vector<Subject> subjects_;
};

class Regions final : public Subjects {
 public:
  Regions(const RecoverBench& bench, KeyPolicy keys) : bench_(bench), keys_(keys) {}

  Result<void> add(const DmaBuf& buffer, std::uint64_t address) override {
    RegionOptions options;
    options.address = Iova(address);
    options.keys = keys_;
    options.monitor = bench_.monitor;
    auto region = Region::create(bench_.importer.pd(), buffer, options);
    if (!region) return region.error();
    regions_.push_back(*std::move(region));
    return {};
  }

  Result<std::uint32_t> rkey(std::size_t index) const override {
    const Region& region = regions_[index];
    if (const auto keys = region.keys()) return keys->rkey.value();
    return make_error(Errc::kRevoked, "write to", region.name(),
                      fmt::format("it is {}", to_string(region.state())));
  }

  Result<void> reset(vfio::Device& device, RecoverTimes& times) override {
    const auto report = device.reset();
    if (!report) return report.error();
    if (report->restored != regions_.size() || report->regions != regions_.size()) {
      return make_error(
          Errc::kRevoked, "reset", device.bdf().to_string(),
          fmt::format("{} of {} regions came back", report->restored, regions_.size()));
    }
    of(times, RecoverPhase::kQuiesce) = microseconds(report->quiesce);
    of(times, RecoverPhase::kReset) = microseconds(report->reset);
    of(times, RecoverPhase::kWait) = microseconds(report->waiting);
    of(times, RecoverPhase::kRegister) = microseconds(report->in_kernel);
    of(times, RecoverPhase::kLibrary) = microseconds(report->own());
    return {};
  }

 private:
  const RecoverBench& bench_;
  KeyPolicy keys_;
  std::vector<Region> regions_;
};

std::unique_ptr<Subjects> subjects_of(const RecoverBench& bench, RecoverKind kind) {
  if (kind == RecoverKind::kPlain) return std::make_unique<PlainRegistrations>(bench.importer);
  return std::make_unique<Regions>(
      bench, kind == RecoverKind::kFresh ? KeyPolicy::kFresh : KeyPolicy::kStable);
}

Result<void> add_all(const RecoverBench& bench, const std::vector<vfio::BarRange>& slices,
                     Subjects& subjects) {
  for (std::size_t i = 0; i < slices.size(); ++i) {
    auto buffer = bench.device.export_dma_buf(bench.bar, slices[i]);
    if (!buffer) return std::move(buffer).error();
    if (auto added = subjects.add(*buffer, slice_address(i)); !added) return added;
  }
  return {};
}

Result<void> write_all(const RecoverBench& bench, const Subjects& subjects, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto rkey = subjects.rkey(i);
    if (!rkey) return rkey.error();
    if (auto written = bench.verifier.write(slice_address(i), *rkey); !written) return written;
  }
  return {};
}

}  // namespace

std::string_view to_string(RecoverPhase phase) noexcept {
  constexpr std::array<std::string_view, kRecoverPhases> kNames = {"quiesce",  "reset",   "wait",
                                                                   "register", "library", "write"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::string_view to_string(RecoverKind kind) noexcept {
  switch (kind) {
    case RecoverKind::kPlain:
      return "plain";
    case RecoverKind::kStable:
      return "stable";
    case RecoverKind::kFresh:
      return "fresh";
  }
  return "unknown";
}

std::optional<RecoverKind> parse_recover_kind(std::string_view text) noexcept {
  for (RecoverKind kind : {RecoverKind::kPlain, RecoverKind::kStable, RecoverKind::kFresh}) {
    if (text == to_string(kind)) return kind;
  }
  return std::nullopt;
}

double after_reset(const RecoverTimes& times) noexcept {
  double sum = 0;
  for (auto i = static_cast<std::size_t>(RecoverPhase::kWait); i < kRecoverPhases; ++i) {
    sum += times[i];
  }
  return sum;
}

Result<bool> possible(const RecoverBench& bench, RecoverKind kind) {
  const auto subjects = subjects_of(bench, kind);
  auto added = add_all(bench, share_out(bench.range, 1), *subjects);
  if (added) return true;
  if (added.error().code() == std::errc::not_supported) return false;
  return std::move(added).error();
}

Result<RecoverTimes> recover_once(const RecoverBench& bench, RecoverKind kind,
                                  std::uint32_t regions) {
  const auto slices = share_out(bench.range, regions);
  const auto subjects = subjects_of(bench, kind);
  if (auto added = add_all(bench, slices, *subjects); !added) return std::move(added).error();
  if (auto written = write_all(bench, *subjects, regions); !written) {
    return std::move(written).error();
  }
  RecoverTimes times{};
  if (auto reset = subjects->reset(bench.device, times); !reset) return std::move(reset).error();
  const auto begin = Clock::now();
  if (auto written = write_all(bench, *subjects, regions); !written) {
    return std::move(written).error();
  }
  of(times, RecoverPhase::kWrite) = microseconds(Clock::now() - begin);
  auto right = verify_slices(bench.device, bench.bar, bench.range, slices, bench.verifier);
  if (!right) return std::move(right).error();
  return times;
}

}  // namespace peermr::tool
