// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
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
  std::array<Bar, 3> bars;         // BAR 0, 2, 4
  bool express_flr = false;        // Function Level Reset by the PCI Express capability
  bool advanced_features = false;  // the AF capability, with its own way to FLR
  bool error_reporting = false;    // the AER extended capability
  uint16_t msix_vectors = 0;       // 0: no MSI-X capability
  uint8_t msix_table_bar = 0;
  uint32_t msix_table_offset = 0;
  uint8_t msix_pba_bar = 0;
  uint32_t msix_pba_offset = 0;
};

/// How a function was reset by a config write.
enum class FunctionReset {
  kExpressFlr,
  kAdvancedFeatures,
  kPowerUp,  // from D3hot back to D0
};

/// Told of what config writes mean for the device. Calls come from inside PciConfigSpace::write().
class PciConfigListener {
 public:
  virtual ~PciConfigListener() = default;

  /// Memory decoding, bus mastering or the power state may have changed: look at the config space.
  virtual void on_pci_state_changed() = 0;

  /// The guest has reset the function. The config space resets itself after the call.
  virtual void on_function_reset(FunctionReset how) = 0;
};

/// The 4 KiB configuration space of a PCI Express endpoint: header, power management (D0 and D3hot,
/// no soft reset), the PCI Express capability, and what the identity asks for: MSI-X, Advanced
/// Features, Advanced Error Reporting (which never has an error to report). Sources: PCI Express
/// Base Specification 5.0, chapter 7; for Advanced Features the PCI Local Bus ECN "Advanced
/// Capabilities for Conventional PCI". Single-threaded.
class PciConfigSpace {
 public:
  static constexpr size_t kSize = 4096;
  static constexpr uint8_t kPmOffset = 0x40;
  static constexpr uint8_t kMsixOffset = 0x50;
  static constexpr uint8_t kExpressOffset = 0x60;
  static constexpr uint8_t kAdvancedFeaturesOffset = 0xa0;
  static constexpr uint16_t kErrorReportingOffset = 0x100;

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
  void add_capability(uint8_t offset, uint8_t id);
  void build_power();
  void build_msix(const PciIdentity& identity);
  void build_express(bool flr);
  void build_advanced_features();
  void build_error_reporting();
  /// Whether writing `value` to the byte at `at` starts a function-level reset.
  std::optional<FunctionReset> starts_reset(size_t at, uint8_t value) const noexcept;

  PciConfigListener& listener_;
  std::array<uint8_t, kSize> initial_{};
  std::array<uint8_t, kSize> mask_{};  // bits that software may write
  std::array<uint8_t, kSize> data_{};
  size_t last_link_;  // where the next capability's offset goes
  bool express_flr_;
  bool advanced_features_;
};

}  // namespace peermr::nic
