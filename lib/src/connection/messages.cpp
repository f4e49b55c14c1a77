// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <type_traits>

#include "connection/wire.hpp"

namespace peermr {
namespace {

using detail::WireReader;
using detail::WireWriter;

constexpr std::uint32_t kMagic = 0x504d5243;  // "PMRC"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint8_t kHasGid = 1;
constexpr std::uint32_t kMax24 = 0xffffff;

// Bytes behind the header, by type - 1: the order is that of the variant.
constexpr std::array<std::size_t, 6> kBodyBytes = {56, 4, RegionDescriptor::kWireBytes, 32, 8, 8};
static_assert(kBodyBytes.size() == std::variant_size_v<Message>);

Error malformed(const std::string& why) {
  return make_error(Errc::kMalformed, "read", "message of the peer", why);
}

void put(WireWriter& to, const StartMessage& m) {
  to.put(m.epoch).put(m.psn).put(m.address.qp_number).put(m.address.lid).put(m.address.mtu);
  to.put(m.address.has_gid ? kHasGid : std::uint8_t{0});
  for (const std::uint8_t byte : m.address.gid) to.put(byte);
  to.put(m.received).put(m.reason).put(m.address.max_read_atomic).put(std::uint8_t{0});
  to.put(std::uint16_t{0}).put(m.region.value());
}
void put(WireWriter& to, const ReadyMessage& m) {
  to.put(m.epoch);
}
void put(WireWriter& to, const RegionDescriptor& m) {
  for (const std::byte byte : encode(m)) to.put(std::to_integer<std::uint8_t>(byte));
}
void put(WireWriter& to, const AcknowledgeMessage& m) {
  to.put(m.region.value()).put(m.generation.value()).put(m.key_epoch.value());
  to.put(static_cast<std::uint32_t>(m.state)).put(std::uint32_t{0});
}
void put(WireWriter& to, const SyncMessage& m) {
  to.put(m.token);
}
void put(WireWriter& to, const SyncedMessage& m) {
  to.put(m.token);
}

Result<Message> get_start(WireReader from) {
  StartMessage m;
  m.epoch = from.get<std::uint32_t>();
  m.psn = from.get<std::uint32_t>();
  m.address.qp_number = from.get<std::uint32_t>();
  m.address.lid = from.get<std::uint16_t>();
  m.address.mtu = from.get<std::uint8_t>();
  const auto flags = from.get<std::uint8_t>();
  for (std::uint8_t& byte : m.address.gid) byte = from.get<std::uint8_t>();
  m.received = from.get<std::uint64_t>();
  m.reason = from.get<std::uint32_t>();
  m.address.max_read_atomic = from.get<std::uint8_t>();
  const bool reserved = from.get<std::uint8_t>() != 0 || from.get<std::uint16_t>() != 0;
  m.region = RegionId(from.get<std::uint64_t>());
  m.address.has_gid = flags == kHasGid;
  if (flags > kHasGid || reserved) return malformed("START: reserved bits are not zero");
  if (m.epoch == 0) return malformed("START: epoch 0");
  if (m.psn > kMax24) return malformed("START: the PSN has more than 24 bits");
  if (m.address.qp_number == 0 || m.address.qp_number > kMax24) {
    return malformed(fmt::format("START: queue pair {:#x}", m.address.qp_number));
  }
  if (m.address.mtu < IBV_MTU_256 || m.address.mtu > IBV_MTU_4096) {
    return malformed(fmt::format("START: MTU code {}", m.address.mtu));
  }
  if (m.address.lid == 0 && !m.address.has_gid) return malformed("START: neither LID nor GID");
  return Message(m);
}

Result<Message> get_acknowledge(WireReader from) {
  AcknowledgeMessage m;
  m.region = RegionId(from.get<std::uint64_t>());
  m.generation = Generation(from.get<std::uint64_t>());
  m.key_epoch = KeyEpoch(from.get<std::uint64_t>());
  const auto state = from.get<std::uint32_t>();
  if (state < 1 || state > 3) return malformed(fmt::format("ACKNOWLEDGE: state {}", state));
  if (from.get<std::uint32_t>() != 0) return malformed("ACKNOWLEDGE: reserved bytes");
  m.state = static_cast<DescriptorState>(state);
  return Message(m);
}

}  // namespace

std::vector<std::byte> encode(const Message& message) {
  std::vector<std::byte> bytes(kHeaderBytes + kBodyBytes[message.index()]);
  WireWriter writer(bytes);
  writer.put(kMagic).put(kVersion).put(static_cast<std::uint8_t>(message.index() + 1));
  writer.put(std::uint16_t{0});
  std::visit([&writer](const auto& one) { put(writer, one); }, message);
  return bytes;
}

Result<Message> decode_message(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) return malformed(fmt::format("{} bytes", bytes.size()));
  WireReader reader(bytes);
  if (reader.get<std::uint32_t>() != kMagic) return malformed("it does not begin with PMRC");
  if (const auto version = reader.get<std::uint8_t>(); version != kVersion) {
    return malformed(fmt::format("version {}, and this library knows {}", version, kVersion));
  }
  const std::size_t type = reader.get<std::uint8_t>();
  if (type < 1 || type > kBodyBytes.size()) return malformed(fmt::format("type {}", type));
  if (reader.get<std::uint16_t>() != 0) return malformed("reserved bytes are not zero");
  const auto body = bytes.subspan(kHeaderBytes);
  if (body.size() != kBodyBytes[type - 1]) {
    return malformed(fmt::format("type {} with {} bytes instead of {}", type, body.size(),
                                 kBodyBytes[type - 1]));
  }
  switch (type) {
    case 1:
      return get_start(reader);
    case 2:
      return Message(ReadyMessage{reader.get<std::uint32_t>()});
    case 3:
      return decode_descriptor(body).transform(
          [](RegionDescriptor descriptor) { return Message(descriptor); });
    case 4:
      return get_acknowledge(reader);
    case 5:
      return Message(SyncMessage{reader.get<std::uint64_t>()});
    default:
      return Message(SyncedMessage{reader.get<std::uint64_t>()});
  }
}

}  // namespace peermr
