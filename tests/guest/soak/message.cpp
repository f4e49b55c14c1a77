// SPDX-License-Identifier: BSD-2-Clause
#include "soak/message.hpp"

#include <array>

namespace soak {

using namespace peermr;

namespace {

constexpr std::uint32_t kInMessage = 0x1000;  // no slot has this number

}  // namespace

Operation operation_of(std::uint64_t number) {
  constexpr std::array kOperations = {Operation::kSend, Operation::kSendWithImmediate,
                                      Operation::kWriteWithImmediate};
  return kOperations[number % kOperations.size()];
}

void fill(Message& message, std::uint32_t stream, std::uint64_t number) {
  message.number = number;
  fill(message.body, stream, kInMessage, number);
}

bool is(const Message& inbox, const Completion& received, std::uint32_t stream,
        std::uint64_t number) {
  const Operation operation = operation_of(number);
  if (received.has_immediate != (operation != Operation::kSend)) return false;
  if (operation == Operation::kWriteWithImmediate) return received.length_bytes == kRecordBytes;
  return received.length_bytes == sizeof(Message) && inbox.number == number &&
         is(inbox.body, stream, kInMessage, number);
}

std::uint64_t Arrivals::number_of(const Message& inbox, const Completion& received) const {
  if (!received.has_immediate) return inbox.number;
  const auto ahead =
      static_cast<std::int32_t>(received.immediate - static_cast<std::uint32_t>(due_));
  return due_ + static_cast<std::uint64_t>(std::int64_t{ahead});
}

std::int64_t Arrivals::take(std::uint64_t number) {
  const auto ahead = static_cast<std::int64_t>(number - due_);
  if (ahead >= 0) due_ = number + 1;
  return ahead;
}

}  // namespace soak
