// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <shared_mutex>
#include <string>

#include "peermr/dma_buf.hpp"
#include "peermr/result.hpp"
#include "peermr/vfio.hpp"

namespace peermr::vend {

/// The memory that is lent, in slices. The seam between vendor and device; tests replace it.
/// Thread-safe.
class SliceMemory {
 public:
  virtual ~SliceMemory() = default;

  /// "0000:04:00.0 BAR 4"
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual std::uint32_t slices() const = 0;
  [[nodiscard]] virtual std::uint64_t slice_bytes() const = 0;

  /// A new buffer of this slice. Does not wait.
  [[nodiscard]] virtual Result<DmaBuf> lend(std::uint32_t slice) = 0;
  /// Kills the buffer and waits, for ever if need be, until nobody reaches the memory through it.
  /// Success is proof.
  virtual Result<void> take_back(const DmaBuf& buffer) = 0;
  /// Sets the slice to zero; returns the generation in which it is. Takes its time.
  /// Errors: Errc::kRevoked when the memory is away.
  virtual Result<std::uint64_t> clear(std::uint32_t slice) = 0;
  /// Counts the revokes of the device's memory. Does not wait. Errc::kDead: the device is gone.
  [[nodiscard]] virtual Result<std::uint64_t> generation() = 0;
  /// Waits as take_back() does.
  virtual Result<vfio::ResetReport> reset() = 0;
};

/// A range of a BAR.
class DeviceMemory final : public SliceMemory {
 public:
  struct Layout {
    BarIndex bar;
    std::uint64_t offset_bytes = 0;
    std::uint64_t slice_bytes = 0;
    std::uint32_t slices = 0;
  };

  /// How a range of `device` is cut into slices. Errors: std::errc::invalid_argument.
  [[nodiscard]] static Result<Layout> layout(const vfio::Device& device, BarIndex bar,
                                             vfio::BarRange range, std::uint64_t slice_bytes);

  /// Whether the device's exporter can do what lending takes. Errors: Errc::kNotOffered, with what
  /// to do; Errc::kDead.
  [[nodiscard]] static Result<void> check_exporter(const vfio::Device& device);

  /// `device` is borrowed.
  DeviceMemory(vfio::Device& device, const Layout& layout, bool mappable);

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::uint32_t slices() const override { return layout_.slices; }
  [[nodiscard]] std::uint64_t slice_bytes() const override { return layout_.slice_bytes; }
  [[nodiscard]] Result<DmaBuf> lend(std::uint32_t slice) override;
  Result<void> take_back(const DmaBuf& buffer) override;
  Result<std::uint64_t> clear(std::uint32_t slice) override;
  [[nodiscard]] Result<std::uint64_t> generation() override;
  Result<vfio::ResetReport> reset() override;

 private:
  [[nodiscard]] vfio::BarRange range_of(std::uint32_t slice) const noexcept;
  [[nodiscard]] std::string name_of(std::uint32_t slice) const;
  Result<void> write_zeros(std::uint32_t slice) const;

  vfio::Device& device_;
  const Layout layout_;
  const bool mappable_;
  const std::string name_;
  // Held shared while a slice is cleared: a reset in the middle would make the effort vain.
  std::shared_mutex resetting_;
};

}  // namespace peermr::vend
