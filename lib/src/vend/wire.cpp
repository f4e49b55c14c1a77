// SPDX-License-Identifier: BSD-2-Clause
#include "vend/wire.hpp"

#include <algorithm>
#include <concepts>
#include <type_traits>

namespace peermr::vend {
namespace {

class Writer {
 public:
  explicit Writer(std::byte* at) : at_(at) {}

  template <std::unsigned_integral T>
  Writer& put(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) *at_++ = static_cast<std::byte>(value >> (8 * i));
    return *this;
  }

 private:
  std::byte* at_;
};

class Reader {
 public:
  explicit Reader(const std::byte* at) : at_(at) {}

  template <std::unsigned_integral T>
  Reader& get(T& value) {
    value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = static_cast<T>(value | static_cast<T>(*at_++) << (8 * i));
    }
    return *this;
  }

 private:
  const std::byte* at_;
};

constexpr bool is_request(std::uint32_t kind) noexcept {
  return kind >= static_cast<std::uint32_t>(RequestKind::kBorrow) &&
         kind <= static_cast<std::uint32_t>(RequestKind::kGiveBack);
}

constexpr bool is_notice(std::uint32_t kind) noexcept {
  return kind >= static_cast<std::uint32_t>(NoticeKind::kGreeting) &&
         kind <= static_cast<std::uint32_t>(NoticeKind::kGeneration);
}

}  // namespace

std::array<std::byte, kRequestBytes> encode(const Request& request) {
  std::array<std::byte, kRequestBytes> packet{};
  Writer(packet.data())
      .put(static_cast<std::uint32_t>(request.kind))
      .put(request.number)
      .put(request.loan)
      .put(request.bytes)
      .put(request.lease_ms)
      .put(request.wait_ms);
  return packet;
}

std::string encode(const Notice& notice) {
  const std::size_t text_bytes = std::min(notice.text.size(), kMaxTextBytes);
  std::string packet(kNoticeBytes, '\0');
  Writer(reinterpret_cast<std::byte*>(packet.data()))
      .put(static_cast<std::uint32_t>(notice.kind))
      .put(notice.number)
      .put(notice.loan)
      .put(notice.generation)
      .put(notice.bytes)
      .put(notice.lease_ms)
      .put(notice.slice)
      .put(notice.code)
      .put(notice.slices)
      .put(notice.flags)
      .put(notice.version)
      .put(static_cast<std::uint32_t>(text_bytes));
  packet.append(notice.text, 0, text_bytes);
  return packet;
}

std::optional<Request> decode_request(std::span<const std::byte> packet) {
  if (packet.size() != kRequestBytes) return std::nullopt;
  Request request;
  std::uint32_t kind = 0;
  Reader(packet.data())
      .get(kind)
      .get(request.number)
      .get(request.loan)
      .get(request.bytes)
      .get(request.lease_ms)
      .get(request.wait_ms);
  if (!is_request(kind)) return std::nullopt;
  request.kind = static_cast<RequestKind>(kind);
  return request;
}

std::optional<Notice> decode_notice(std::span<const std::byte> packet) {
  if (packet.size() < kNoticeBytes || packet.size() > kMaxPacketBytes) return std::nullopt;
  Notice notice;
  std::uint32_t kind = 0;
  std::uint32_t text_bytes = 0;
  Reader(packet.data())
      .get(kind)
      .get(notice.number)
      .get(notice.loan)
      .get(notice.generation)
      .get(notice.bytes)
      .get(notice.lease_ms)
      .get(notice.slice)
      .get(notice.code)
      .get(notice.slices)
      .get(notice.flags)
      .get(notice.version)
      .get(text_bytes);
  if (!is_notice(kind) || text_bytes != packet.size() - kNoticeBytes) return std::nullopt;
  notice.kind = static_cast<NoticeKind>(kind);
  notice.text.assign(reinterpret_cast<const char*>(packet.data()) + kNoticeBytes, text_bytes);
  return notice;
}

}  // namespace peermr::vend
