// SPDX-License-Identifier: BSD-2-Clause
//
// The messages between a vendor and its borrowers, as docs/vending.md describes them: one packet
// each, little-endian. Peers are not trusted: whatever a packet holds, reading it gives a message
// or nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace peermr::vend {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::size_t kRequestBytes = 40;
/// Of a notice without its text.
inline constexpr std::size_t kNoticeBytes = 64;
inline constexpr std::size_t kMaxTextBytes = 448;
inline constexpr std::size_t kMaxPacketBytes = kNoticeBytes + kMaxTextBytes;

enum class RequestKind : std::uint32_t {
  kBorrow = 1,
  kRenew = 2,
  kGiveBack = 3,
};

/// From a borrower.
struct Request {
  RequestKind kind = RequestKind::kBorrow;
  std::uint32_t number = 0;    ///< comes back in the answer
  std::uint64_t loan = 0;      ///< kRenew, kGiveBack
  std::uint64_t bytes = 0;     ///< kBorrow: at least so many; 0: any slice
  std::uint64_t lease_ms = 0;  ///< kBorrow, kRenew: 0: the longest there is
  std::uint64_t wait_ms = 0;   ///< kBorrow: for a slice to become free

  friend bool operator==(const Request&, const Request&) = default;
};

enum class NoticeKind : std::uint32_t {
  kGreeting = 1,    ///< first, of the vendor; text: "0000:04:00.0 BAR 4"
  kLent = 2,        ///< answer, with the descriptor
  kRenewed = 3,     ///< answer
  kGivenBack = 4,   ///< answer: nothing reaches the slice through the loan any more
  kRefused = 5,     ///< answer: code is an errno value, text says why
  kEnded = 6,       ///< unasked: code is a LoanEnd
  kGeneration = 7,  ///< unasked: the memory was revoked and may be back; content may be lost
};

inline constexpr std::uint32_t kNoticeMappable = 1;      ///< greeting: loans can be mmapped
inline constexpr std::uint32_t kNoticeKeepsContent = 2;  ///< greeting: slices are not cleared

/// From the vendor.
struct Notice {
  NoticeKind kind = NoticeKind::kGreeting;
  std::uint32_t number = 0;  ///< of the request; 0: unasked
  std::uint64_t loan = 0;
  std::uint64_t generation = 0;
  std::uint64_t bytes = 0;     ///< of a slice
  std::uint64_t lease_ms = 0;  ///< granted; greeting: the longest
  std::uint32_t slice = 0;
  std::uint32_t code = 0;
  std::uint32_t slices = 0;  ///< greeting
  std::uint32_t flags = 0;
  std::uint32_t version = kProtocolVersion;
  std::string text = {};

  friend bool operator==(const Notice&, const Notice&) = default;
};

[[nodiscard]] std::array<std::byte, kRequestBytes> encode(const Request& request);
/// Text that is too long is cut.
[[nodiscard]] std::string encode(const Notice& notice);

/// Nothing when the packet is not one.
[[nodiscard]] std::optional<Request> decode_request(std::span<const std::byte> packet);
[[nodiscard]] std::optional<Notice> decode_notice(std::span<const std::byte> packet);

}  // namespace peermr::vend
