// SPDX-License-Identifier: BSD-2-Clause
//
// What is sent through a connection: numbered messages, of which each has to be taken once and in
// order.
#pragma once

#include <cstdint>
#include <peermr/peermr.hpp>

#include "soak/record.hpp"

namespace soak {

/// The region that a connection is about.
inline constexpr peermr::RegionId kRegion{1};

struct Message {
  std::uint64_t number;
  Record body;
};

/// How the message of that number is sent: SEND, SEND with immediate, WRITE with immediate. An
/// immediate is the number's lower half.
peermr::Operation operation_of(std::uint64_t number);

void fill(Message& message, std::uint32_t stream, std::uint64_t number);

/// Whether `received` is what fill() makes of that number, sent as operation_of() says. `inbox` is
/// where its receive pointed to.
bool is(const Message& inbox, const peermr::Completion& received, std::uint32_t stream,
        std::uint64_t number);

/// Messages that came, at the receiver.
class Arrivals {
 public:
  /// The number that a received message has.
  std::uint64_t number_of(const Message& inbox, const peermr::Completion& received) const;

  /// Takes one: how far its number is from the one that was due. 0: it is the one; less: it was
  /// taken before; more: so many in front of it never came.
  std::int64_t take(std::uint64_t number);

  /// Numbers below this one have come.
  std::uint64_t due() const { return due_; }

 private:
  std::uint64_t due_ = 0;
};

}  // namespace soak
