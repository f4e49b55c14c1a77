// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/descriptor.hpp"

#include <fmt/format.h>

#include <limits>
#include <string>

#include "connection/wire.hpp"

namespace peermr {
namespace {

constexpr std::uint32_t kMagic = 0x504d5244;  // "PMRD"
constexpr std::uint8_t kVersion = 1;
constexpr std::uint16_t kKeyDies = 1;  // the only flag

Error malformed(const std::string& why) {
  return make_error(Errc::kMalformed, "read", "region descriptor", why);
}

Result<void> check_memory(const RegionDescriptor& d) {
  if (d.state == DescriptorState::kLive) {
    if (d.length_bytes == 0) return malformed("a live region has no bytes");
  } else if (d.rkey.value() != 0) {
    return malformed("a region that is not live has a key");
  }
  if (d.length_bytes != 0 &&
      d.length_bytes - 1 > std::numeric_limits<std::uint64_t>::max() - d.address.value()) {
    return malformed("the region ends past the last address");
  }
  return {};
}

}  // namespace

std::string_view to_string(DescriptorState state) noexcept {
  switch (state) {
    case DescriptorState::kLive:
      return "live";
    case DescriptorState::kPaused:
      return "paused";
    case DescriptorState::kDead:
      return "dead";
  }
  return "unknown";
}

std::array<std::byte, RegionDescriptor::kWireBytes> encode(
    const RegionDescriptor& descriptor) noexcept {
  std::array<std::byte, RegionDescriptor::kWireBytes> bytes{};
  detail::WireWriter(bytes)
      .put(kMagic)
      .put(kVersion)
      .put(static_cast<std::uint8_t>(descriptor.state))
      .put(descriptor.key_dies_with_generation ? kKeyDies : std::uint16_t{0})
      .put(descriptor.id.value())
      .put(descriptor.address.value())
      .put(descriptor.length_bytes)
      .put(descriptor.generation.value())
      .put(descriptor.key_epoch.value())
      .put(descriptor.rkey.value())
      .put(std::uint32_t{0});
  return bytes;
}

Result<RegionDescriptor> decode_descriptor(std::span<const std::byte> bytes) {
  if (bytes.size() != RegionDescriptor::kWireBytes) {
    return malformed(
        fmt::format("{} bytes instead of {}", bytes.size(), RegionDescriptor::kWireBytes));
  }
  detail::WireReader reader(bytes);
  if (reader.get<std::uint32_t>() != kMagic) return malformed("it does not begin with PMRD");
  if (const auto version = reader.get<std::uint8_t>(); version != kVersion) {
    return malformed(fmt::format("version {}, and this library knows {}", version, kVersion));
  }
  const auto state = reader.get<std::uint8_t>();
  if (state < static_cast<std::uint8_t>(DescriptorState::kLive) ||
      state > static_cast<std::uint8_t>(DescriptorState::kDead)) {
    return malformed(fmt::format("state {} does not exist", state));
  }
  const auto flags = reader.get<std::uint16_t>();
  if ((flags & ~kKeyDies) != 0) return malformed(fmt::format("flags {:#x} do not exist", flags));
  RegionDescriptor descriptor;
  descriptor.state = static_cast<DescriptorState>(state);
  descriptor.key_dies_with_generation = (flags & kKeyDies) != 0;
  descriptor.id = RegionId(reader.get<std::uint64_t>());
  descriptor.address = Iova(reader.get<std::uint64_t>());
  descriptor.length_bytes = reader.get<std::uint64_t>();
  descriptor.generation = Generation(reader.get<std::uint64_t>());
  descriptor.key_epoch = KeyEpoch(reader.get<std::uint64_t>());
  descriptor.rkey = Rkey(reader.get<std::uint32_t>());
  if (reader.get<std::uint32_t>() != 0) return malformed("reserved bytes are not zero");
  if (auto checked = check_memory(descriptor); !checked) return checked.error();
  return descriptor;
}

}  // namespace peermr
