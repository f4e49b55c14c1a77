// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace peermr::nic {

/// What a PciConfigSpace presents. BARs are 64-bit memory BARs at the even numbers 0, 2 and 4; a
/// size of 0 leaves one out, every other size is a power of two of at least 4096 bytes.
struct PciIdentity {
  uint16_t vendor_id = 0;
  uint16_t device_id = 0;
  uint16_t subsystem_vendor_id = 0;
  uint16_t subsystem_id = 0;
  uint8_t revision = 0;
  uint32_t class_code = 0;  // base class, subclass and interface: 0x020700
  struct Bar {
    uint64_t size = 0;
    bool prefetchable = false;
  };
  std::array<Bar, 3> bars;  // BAR 0, 2, 4
  uint16_t msix_vectors = 0;
  uint8_t msix_table_bar = 0;
  uint32_t msix_table_offset = 0;
  uint8_t msix_pba_bar = 0;
  uint32_t msix_pba_offset = 0;
};

/// Told of what config writes mean for the device. Calls come from inside PciConfigSpace::write().
class PciConfigListener {
 public:
  virtual ~PciConfigListener() = default;

  /// Memory decoding, bus mastering or the power state may have changed: look at the config space.
  virtual void on_pci_state_changed() = 0;

  /// The guest started a function-level reset, or led the function from D3hot back to D0, which
  /// resets it too. The config space resets itself after the call.
  virtual void on_function_reset() = 0;
};

/// The 4 KiB configuration space of a PCI Express endpoint: header, power management (D0 and D3hot,
/// no soft reset), MSI-X, and the PCI Express capability with function-level reset. Extended space
/// is empty. Source: PCI Express Base Specification 5.0, chapter 7. Single-threaded.
class PciConfigSpace {
 public:
  static constexpr size_t kSize = 4096;
  static constexpr uint8_t kPmOffset = 0x40;
  static constexpr uint8_t kMsixOffset = 0x50;
  static constexpr uint8_t kExpressOffset = 0x60;

  /// `listener` must outlive this object.
  PciConfigSpace(const PciIdentity& identity, PciConfigListener& listener);

  /// Reads `out.size()` bytes. False when the range does not lie inside the space.
  [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> out) const noexcept;

  /// Writes bytes; those that are read-only stay. False when the range does not lie inside the
  /// space.
  [[nodiscard]] bool write(uint64_t offset, std::span<const std::byte> data);

  /// Back to power-on values (conventional reset, FLR).
  void reset() noexcept;

  bool memory_enabled() const noexcept;
  bool bus_master() const noexcept;
  bool in_d0() const noexcept;
  bool msix_enabled() const noexcept;

 private:
  void set8(size_t offset, uint8_t value) { initial_[offset] = value; }
  void set16(size_t offset, uint16_t value);
  void set32(size_t offset, uint32_t value);
  void writable16(size_t offset, uint16_t mask);
  void writable32(size_t offset, uint32_t mask);
  uint16_t get16(size_t offset) const noexcept;
  void build_header(const PciIdentity& identity);
  void build_capabilities(const PciIdentity& identity);

  PciConfigListener& listener_;
  std::array<uint8_t, kSize> initial_{};
  std::array<uint8_t, kSize> mask_{};  // bits that software may write
  std::array<uint8_t, kSize> data_{};
};

}  // namespace peermr::nic
