// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "peermr/export.hpp"
#include "peermr/result.hpp"

namespace peermr {

/// Address of a PCI function: domain, bus, device, function. Linux domains may exceed 16 bits
/// (VMD makes them from 0x10000).
class PEERMR_API Bdf {
 public:
  constexpr Bdf() noexcept = default;
  /// `device` is below 32 and `function` below 8; higher bits are dropped.
  constexpr Bdf(std::uint32_t domain, std::uint8_t bus, std::uint8_t device,
                std::uint8_t function) noexcept
      : domain_(domain),
        bus_(bus),
        devfn_(static_cast<std::uint8_t>((device & 0x1fu) << 3 | (function & 7u))) {}

  /// "0000:04:00.0", as sysfs and lspci -D write it, or "04:00.0", which means domain 0.
  /// Hexadecimal, either case. Error: Errc::kMalformed for anything else.
  [[nodiscard]] static Result<Bdf> parse(std::string_view text);

  [[nodiscard]] constexpr std::uint32_t domain() const noexcept { return domain_; }
  [[nodiscard]] constexpr std::uint8_t bus() const noexcept { return bus_; }
  [[nodiscard]] constexpr std::uint8_t device() const noexcept {
    return static_cast<std::uint8_t>(devfn_ >> 3);
  }
  [[nodiscard]] constexpr std::uint8_t function() const noexcept { return devfn_ & 7u; }

  /// The form that sysfs uses: "0000:04:00.0".
  [[nodiscard]] std::string to_string() const;

  friend constexpr auto operator<=>(const Bdf&, const Bdf&) noexcept = default;

 private:
  std::uint32_t domain_ = 0;
  std::uint8_t bus_ = 0;
  std::uint8_t devfn_ = 0;
};

}  // namespace peermr
