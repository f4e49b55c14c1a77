// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "peermr/descriptor.hpp"
#include "peermr/export.hpp"
#include "peermr/queue_pair.hpp"
#include "peermr/result.hpp"

// What the two ends of an RcConnection say to each other on their OutOfBand channel. The bytes are
// in docs/connection.md.

namespace peermr {

/// "My queue pair is drained. Let us connect for the `epoch`th time."
struct StartMessage {
  std::uint32_t epoch = 0;  ///< 1 for the first connection
  QpAddress address = {};
  std::uint32_t psn = 0;  ///< 24 bits
  /// SENDs and WRITEs with immediate that this side has taken, ever: those must not come again.
  std::uint64_t received = 0;
  /// The error that made this side begin, an ibv_wc_status; 0: it was the peer, or the first time.
  std::uint32_t reason = 0;
  RegionId region = {};  ///< of the work that failed so, if it named one

  friend bool operator==(const StartMessage&, const StartMessage&) noexcept = default;
};

/// "My queue pair is in RTS for this epoch: you may post."
struct ReadyMessage {
  std::uint32_t epoch = 0;
  friend bool operator==(const ReadyMessage&, const ReadyMessage&) noexcept = default;
};

/// "I post nothing with an older key than this, or nothing at all where the state is not live, and
/// nothing that I posted so is on its way."
struct AcknowledgeMessage {
  RegionId region = {};
  DescriptorState state = DescriptorState::kLive;
  Generation generation = {};
  KeyEpoch key_epoch = {};
  friend bool operator==(const AcknowledgeMessage&, const AcknowledgeMessage&) noexcept = default;
};

/// "Tell me all that you know of your regions now, then answer with the token."
struct SyncMessage {
  std::uint64_t token = 0;
  friend bool operator==(const SyncMessage&, const SyncMessage&) noexcept = default;
};
struct SyncedMessage {
  std::uint64_t token = 0;
  friend bool operator==(const SyncedMessage&, const SyncedMessage&) noexcept = default;
};

using Message = std::variant<StartMessage, ReadyMessage, RegionDescriptor, AcknowledgeMessage,
                             SyncMessage, SyncedMessage>;

[[nodiscard]] PEERMR_API std::vector<std::byte> encode(const Message& message);

/// Trusts nobody.
/// Errors: Errc::kMalformed, with what is wrong.
[[nodiscard]] PEERMR_API Result<Message> decode_message(std::span<const std::byte> bytes);

}  // namespace peermr
