// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peermr/bdf.hpp"
#include "peermr/dma_buf.hpp"
#include "peermr/export.hpp"
#include "peermr/exporter.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/types.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::detail {
class MemoryEvents;
}

namespace peermr::vfio {

/// An IOMMU domain that devices share: a VFIO type1 container. Devices opened with the same
/// container see the same IOVAs; devices of one IOMMU group must share one. Thread-safe.
class PEERMR_API Container {
 public:
  struct Impl;

  /// Opens /dev/vfio/vfio. Errors: ENOENT when the vfio module is not loaded, EACCES, or
  /// std::errc::not_supported when the kernel's VFIO is of another version.
  [[nodiscard]] static Result<std::shared_ptr<Container>> create(const SystemPaths& paths = {});

  explicit Container(std::unique_ptr<Impl> impl) noexcept;
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// How the kernel hands a VFIO device out.
enum class OpenBy {
  kAny,    ///< by its group where there is a type1 container, else by its character device
  kGroup,  ///< its IOMMU group and a type1 container
  kCdev,   ///< its character device and an iommufd of its own (Linux 6.6)
};

struct OpenOptions {
  std::shared_ptr<Container> container =
      {};  ///< none: the device gets one of its own. Means kGroup
  SystemPaths paths = {};
  OpenBy by = OpenBy::kAny;
  /// UUID that the owner of the physical function set; for virtual functions that want one.
  std::string vf_token = {};
};

struct BarInfo {
  std::uint64_t size_bytes = 0;
  bool readable = false;
  bool writable = false;
  bool mappable = false;
};

/// A part of a BAR, in bytes.
struct BarRange {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
};

/// Asking for more than read_only needs one of peermr's exporters: Device::exporter_features().
struct ExportOptions {
  bool read_only = false;  ///< the descriptor is O_RDONLY
  /// The buffer can be mmapped. VFIO type1 pins what it finds in such a mapping and is never told
  /// of a revoke: not for memory that is lent to others.
  bool mappable = false;
  bool manual_rearm = false;   ///< after a revoke, importers wait for Device::rearm()
  bool write_combine = false;  ///< mmap is write-combining; the whole BAR must be mapped so
  /// The kernel's own exporter makes the buffer, with its promises: iommufd imports no other.
  /// Excludes the other options but read_only.
  bool delegate = false;
};

/// What the kernel tells the owner of a device of its own accord.
enum class DeviceEvent {
  kError,    ///< an uncorrectable error of the device or its link; the device's state may be lost
  kRequest,  ///< the kernel wants the device back, to unbind or unplug it, and waits for close()
};

/// "error", "request".
[[nodiscard]] PEERMR_API std::string_view to_string(DeviceEvent event) noexcept;

enum class PowerState {
  kD0,     ///< on
  kD3hot,  ///< asleep: configuration space answers, memory does not
};

/// What a reset did, by phase.
struct ResetReport {
  std::chrono::nanoseconds quiesce{};  ///< until no lease was held any more
  std::chrono::nanoseconds reset{};    ///< the kernel's and the device's part
  std::chrono::nanoseconds restore{};  ///< until every region that could was live again
  /// Of `restore`: until the memory could be mapped; attempts that failed, and pauses.
  std::chrono::nanoseconds waiting{};
  /// Of `restore`, after that: in libibverbs and in the kernel, which is what registering takes.
  std::chrono::nanoseconds in_kernel{};
  std::size_t regions = 0;   ///< regions on the device's memory
  std::size_t restored = 0;  ///< of those, live again

  /// Of `restore`: what the library itself took.
  [[nodiscard]] std::chrono::nanoseconds own() const noexcept {
    return restore - waiting - in_kernel;
  }
};

/// A part of a BAR mapped into this process. Uncached; a load while the memory is revoked raises
/// SIGBUS. Unmaps on destruction.
class PEERMR_API BarMapping {
 public:
  BarMapping() noexcept = default;
  BarMapping(void* address, std::size_t size_bytes) noexcept
      : address_(address), size_bytes_(size_bytes) {}
  BarMapping(BarMapping&& other) noexcept;
  BarMapping& operator=(BarMapping&& other) noexcept;
  ~BarMapping();

  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {static_cast<std::byte*>(address_), size_bytes_};
  }
  /// The 32-bit register at `offset_bytes`. Bounds and alignment are the caller's.
  [[nodiscard]] volatile std::uint32_t& reg32(std::size_t offset_bytes) const noexcept {
    return *reinterpret_cast<volatile std::uint32_t*>(static_cast<std::byte*>(address_) +
                                                      offset_bytes);
  }

 private:
  void* address_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// A PCI device that this process owns through VFIO, or through peermr_bar where there is no IOMMU:
/// then it can do no DMA and its memory decode stays on.
///
/// Moves. All functions are thread-safe except close(), moves and the destructor. Those that revoke
/// memory or bring it back (reset(), set_memory_enabled(), set_power(), quiesce(), resume(),
/// revoke(), rearm(), make_private(), close()) exclude each other. They first take the keys of all
/// regions on the device's memory away and wait until no thread holds a lease, so they refuse a
/// thread that holds one (Errc::kLeaseHeld), and then nothing has happened. Regions whose policy is
/// to pause are registered again before they return.
class PEERMR_API Device {
 public:
  struct Impl;

  /// Opens the device as OpenOptions::by says, or /dev/peermr_bar where that driver has it.
  ///
  /// Errors:
  /// - std::errc::no_such_device: there is no such device
  /// - Errc::kNotBoundToVfio: says which driver has it, and the commands that change it
  /// - Errc::kGroupNotViable: names the other devices of the group that a host driver has
  /// - std::errc::not_supported: no IOMMU group; no character device when that was asked for
  /// - Errc::kMalformed: the VF token
  /// - EACCES, EBUSY (opened by somebody else, or the other way), or what the VFIO ioctls return
  [[nodiscard]] static Result<Device> open(const Bdf& bdf, const OpenOptions& options = {});

  explicit Device(std::unique_ptr<Impl> impl) noexcept;
  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  /// As close(), with errors logged. In a thread that holds a lease it cannot close: the device
  /// stays open until the process ends.
  ~Device();

  [[nodiscard]] const Bdf& bdf() const noexcept;
  /// Borrowed: the device's descriptor, of VFIO or peermr_bar, for what this class does not do.
  [[nodiscard]] int fd() const noexcept;

  /// Errors: std::errc::invalid_argument when `bar` is above 5; otherwise size 0 means that there
  /// is no such BAR.
  [[nodiscard]] Result<BarInfo> bar_info(BarIndex bar) const;

  /// Maps a page-aligned part of a memory BAR for reading and writing. Enables nothing: memory
  /// decode must be on, and is after open().
  /// Errors: std::errc::invalid_argument with what is wrong about the range, or mmap's errno.
  [[nodiscard]] Result<BarMapping> map_bar(BarIndex bar, BarRange range) const;

  /// Configuration space, through VFIO's emulation, or sysfs. `offset` + 2 is within 4 KiB.
  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t offset) const;

  /// Whether the device decodes memory accesses (PCI_COMMAND, bit 1).
  [[nodiscard]] Result<bool> memory_enabled() const;

  /// Turns memory decode off, which revokes everything exported, or on again. Blocks as the class
  /// description says. No effect when it is so already. std::errc::not_supported with peermr_bar.
  Result<void> set_memory_enabled(bool enabled);

  /// Puts the device to sleep, which revokes everything exported, or wakes it. Blocks as the class
  /// description says. No effect when it is so already. Errors: std::errc::not_supported when the
  /// device has no power management, or with peermr_bar.
  Result<void> set_power(PowerState state);

  /// Takes the keys of all regions on the device's memory away until resume(), reset() or
  /// set_memory_enabled(true). The memory stays where it is: for what the library does not know how
  /// to do to the device.
  Result<void> quiesce();
  /// Errors: Errc::kRevoked when memory decode is off.
  Result<void> resume();

  /// An eventfd that is readable after the event; one at a time for each event. Monitor::watch()
  /// acts on it too. Errors: std::errc::not_supported with peermr_bar, or when the device cannot
  /// have the event (kError: it is not PCI Express).
  [[nodiscard]] Result<UniqueFd> event_fd(DeviceEvent event) const;

  /// Whether kernel and driver can export dma-bufs at all.
  [[nodiscard]] bool can_export_dma_buf() const;

  /// Which exporter the device has, and what it can do.
  [[nodiscard]] const ExporterFeatures& exporter_features() const noexcept;

  /// Exports parts of one BAR as one dma-buf, in the order given; they may overlap. The buffer
  /// outlives the device safely, but cannot be mapped after it.
  ///
  /// The library checks before it asks the kernel. Errors:
  /// - std::errc::invalid_argument: no range, a range that is empty, unaligned or past the BAR
  /// (says
  ///   which), a BAR that does not exist or is I/O ports
  /// - Errc::kNoDmaBufFeature: says which kernel and option it takes
  /// - Errc::kNotOffered: the exporter lacks one of the options; says how to get one that has it
  /// - what the ioctl returns (kernel/include/peermr/peermr_export.h, vfio_dmabuf.h)
  [[nodiscard]] Result<DmaBuf> export_dma_buf(BarIndex bar, std::span<const BarRange> ranges,
                                              const ExportOptions& options = {}) const;
  [[nodiscard]] Result<DmaBuf> export_dma_buf(BarIndex bar, BarRange range,
                                              const ExportOptions& options = {}) const {
    return export_dma_buf(bar, std::span<const BarRange>(&range, 1), options);
  }

  /// The five functions that follow need one of peermr's exporters, else Errc::kNotOffered. A
  /// buffer that this device did not export, or delegated, gives std::errc::invalid_argument; a
  /// closed device Errc::kDead.
  [[nodiscard]] Result<ExporterInfo> exporter_info() const;
  [[nodiscard]] Result<BufferStatus> query(const DmaBuf& buffer) const;

  /// Takes the buffer back for good, and its regions to Dead: on return nobody reaches the memory
  /// through it, nor ever will. Waits for importers. Errors: Errc::kDead when it was so before;
  /// Errc::kLeaseHeld; EINTR when a signal ended the wait, the buffer being dead all the same (call
  /// again to wait on).
  Result<void> revoke(const DmaBuf& buffer);

  /// Lets importers map a buffer again that was exported with manual_rearm, and brings its regions
  /// back. `revokes` is what query() said when the caller last looked after the memory. Does nothing
  /// when the buffer is live. Errors: Errc::kStale when it was revoked once more since, so that
  /// nothing happened; Errc::kRevoked while the device's memory is away; Errc::kDead.
  Result<void> rearm(const DmaBuf& buffer, std::uint64_t revokes);

  /// From now on nobody maps or reaches the device's memory but the VM that VFIO knows of, until
  /// the device is closed. Cannot be undone. Errors: EBUSY (see PrivateMappings), EALREADY.
  Result<void> make_private(PrivateMappings mappings = PrivateMappings::kRefuse);

  /// Resets the function (VFIO_DEVICE_RESET) under live regions: quiesce, reset, register again.
  /// Blocks as the class description says, plus up to each region's back-off limit.
  ///
  /// Errors: Errc::kLeaseHeld; std::errc::not_supported when the device has no reset of its own;
  /// what the ioctl returns. Regions come back after a failed reset too. A region that does not
  /// come back is no error of the reset: see ResetReport::restored and the region's state.
  Result<ResetReport> reset();

  /// Takes all regions on the device's memory to Dead and closes the device. Closing twice
  /// succeeds.
  ///
  /// The kernel goes on having it open as long as a BarMapping of it lives: nobody else can open
  /// it, and a memory region that the application registered by itself still reaches the memory.
  Result<void> close();

  /// For the library.
  [[nodiscard]] const std::shared_ptr<peermr::detail::MemoryEvents>& memory_events() const noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Has iommufd map the buffer into an address space that no device uses, and gives it up at once:
/// whether a VM's devices, or a device opened by OpenBy::kCdev, could reach it. Errors: those of
/// opening /dev/iommu; std::errc::not_supported (EOPNOTSUPP) when iommufd does not import such
/// buffers; Errc::kRevoked; what IOMMU_IOAS_ALLOC and IOMMU_IOAS_MAP_FILE return.
PEERMR_API Result<void> try_iommufd_map(const DmaBuf& buffer, const SystemPaths& paths = {});

}  // namespace peermr::vfio
