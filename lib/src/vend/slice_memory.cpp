// SPDX-License-Identifier: BSD-2-Clause
#include "vend/slice_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <thread>

#include "base/checked.hpp"

namespace peermr::vend {
namespace {

constexpr std::string_view kVend = "vend";
constexpr std::string_view kClear = "clear";
constexpr std::string_view kTakeBack = "take back";
constexpr int kClearAttempts = 5;
constexpr auto kPause = std::chrono::milliseconds(10);

Error invalid(const std::string& name, std::string_view detail) {
  return make_error(std::errc::invalid_argument, kVend, name, detail);
}

std::string bar_name(const vfio::Device& device, BarIndex bar) {
  return fmt::format("{} BAR {}", device.bdf().to_string(), bar.value());
}

// Stores of our own would raise SIGBUS when the memory is revoked in the middle, by a reset through
// sysfs, say. The kernel's do not: the call fails.
Result<void> zero(std::span<std::byte> bytes, const std::string& name) {
  const UniqueFd zeros(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  if (!zeros) return errno_error(errno, kClear, name, "cannot open /dev/zero");
  while (!bytes.empty()) {
    const ssize_t got = ::read(zeros.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EFAULT) {
      return make_error(Errc::kRevoked, kClear, name, "the device's memory is away");
    }
    if (got <= 0) return errno_error(got < 0 ? errno : EIO, kClear, name);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

// Stores to a device are posted: a load behind them comes after they have arrived. Likewise by the
// kernel's hand.
Result<void> expect_zero_at_the_end(std::span<const std::byte> bytes, const std::string& name) {
  const UniqueFd scratch(::memfd_create("peermr-clear", MFD_CLOEXEC));
  if (!scratch) return errno_error(errno, kClear, name, "cannot make a scratch file");
  std::uint64_t last = 1;
  const auto* from = bytes.data() + bytes.size() - sizeof(last);
  if (::pwrite(scratch.get(), from, sizeof(last), 0) != sizeof(last) ||
      ::pread(scratch.get(), &last, sizeof(last), 0) != sizeof(last)) {
    return make_error(Errc::kRevoked, kClear, name, "the device's memory is away");
  }
  if (last == 0) return {};
  return make_error(std::errc::io_error, kClear, name,
                    "the device does not keep what is written: is it memory?");
}

}  // namespace

Result<DeviceMemory::Layout> DeviceMemory::layout(const vfio::Device& device, BarIndex bar,
                                                  vfio::BarRange range, std::uint64_t slice_bytes) {
  const std::string name = bar_name(device, bar);
  const auto info = device.bar_info(bar);
  if (!info) return info.error();
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (info->size_bytes == 0) return invalid(name, "there is no such BAR");
  if (!info->mappable) return invalid(name, "its driver does not let it be mapped, or it is I/O");
  if (range.length_bytes == 0 && range.offset_bytes < info->size_bytes) {
    range.length_bytes = info->size_bytes - range.offset_bytes;
  }
  if (range.length_bytes == 0 ||
      !range_in(range.offset_bytes, range.length_bytes, info->size_bytes)) {
    return invalid(
        name, fmt::format("the range ends past the BAR, which has {} bytes", info->size_bytes));
  }
  if (!is_aligned(range.offset_bytes, page)) return invalid(name, "the range is not page-aligned");
  if (slice_bytes == 0 || !is_aligned(slice_bytes, page)) {
    return invalid(name, fmt::format("a slice is a number of whole pages of {} bytes", page));
  }
  const std::uint64_t slices = range.length_bytes / slice_bytes;
  if (slices == 0) return invalid(name, "the range is smaller than a slice");
  constexpr std::uint32_t kMaxSlices = 4096;
  if (slices > kMaxSlices) {
    return invalid(name, fmt::format("{} slices are more than {}", slices, kMaxSlices));
  }
  return Layout{.bar = bar,
                .offset_bytes = range.offset_bytes,
                .slice_bytes = slice_bytes,
                .slices = static_cast<std::uint32_t>(slices)};
}

Result<void> DeviceMemory::check_exporter(const vfio::Device& device) {
  const auto& features = device.exporter_features();
  // It says how to get an exporter that can.
  const auto info = device.exporter_info();
  if (features.revoke && features.query && info) return {};
  if (!info && info.error().code() != Errc::kNotOffered) return info.error();
  return make_error(Errc::kNotOffered, kVend, device.bdf().to_string(),
                    "what is lent must be taken back for good: " +
                        (info ? std::string("this exporter is too old") : info.error().detail()));
}

DeviceMemory::DeviceMemory(vfio::Device& device, const Layout& layout, bool mappable)
    : device_(device), layout_(layout), mappable_(mappable), name_(bar_name(device, layout.bar)) {}

vfio::BarRange DeviceMemory::range_of(std::uint32_t slice) const noexcept {
  return {.offset_bytes = layout_.offset_bytes + slice * layout_.slice_bytes,
          .length_bytes = layout_.slice_bytes};
}

std::string DeviceMemory::name_of(std::uint32_t slice) const {
  return fmt::format("{} slice {}", name_, slice);
}

Result<DmaBuf> DeviceMemory::lend(std::uint32_t slice) {
  return device_.export_dma_buf(layout_.bar, range_of(slice), {.mappable = mappable_});
}

Result<void> DeviceMemory::take_back(const DmaBuf& buffer) {
  while (true) {
    const auto revoked = device_.revoke(buffer);
    if (revoked || revoked.error().code() == Errc::kDead) break;
    // A signal came: the buffer is dead, but somebody has it mapped.
    if (revoked.error().code() != std::errc::interrupted) return revoked;
  }
  const auto status = device_.query(buffer);
  // A device that is gone has killed its buffers, but cannot say so any more.
  if (!status) return status.error();
  if (status->state == vfio::BufferState::kDead && status->mappings == 0) return {};
  return make_error(std::errc::io_error, kTakeBack, buffer.name(),
                    fmt::format("after it was revoked for good it is {} and mapped {} times",
                                to_string(status->state), status->mappings));
}

Result<void> DeviceMemory::write_zeros(std::uint32_t slice) const {
  const auto mapping = device_.map_bar(layout_.bar, range_of(slice));
  if (!mapping) return mapping.error();
  const std::string name = name_of(slice);
  auto done = zero(mapping->bytes(), name);
  if (!done) return done;
  return expect_zero_at_the_end(mapping->bytes(), name);
}

// Somebody else may reset the device meanwhile, and what was stored then went nowhere.
Result<std::uint64_t> DeviceMemory::clear(std::uint32_t slice) {
  const std::shared_lock lock(resetting_);
  Error why =
      make_error(Errc::kRevoked, kClear, name_of(slice), "the device is reset all the time");
  for (int attempt = 0; attempt < kClearAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kPause);
    const auto before = device_.exporter_info();
    if (!before) return before.error();
    if (before->why != 0) {
      why = make_error(Errc::kRevoked, kClear, name_of(slice), "the device's memory is away");
      continue;
    }
    const auto cleared = write_zeros(slice);
    const auto after = device_.exporter_info();
    if (!after) return after.error();
    if (cleared && after->why == 0 && after->revokes == before->revokes) return after->revokes;
    if (!cleared && cleared.error().code() != Errc::kRevoked) return cleared.error();
  }
  return why;
}

Result<std::uint64_t> DeviceMemory::generation() {
  return device_.exporter_info().transform(
      [](const vfio::ExporterInfo& info) { return info.revokes; });
}

Result<vfio::ResetReport> DeviceMemory::reset() {
  const std::unique_lock lock(resetting_);
  return device_.reset();
}

}  // namespace peermr::vend
