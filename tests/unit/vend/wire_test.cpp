// SPDX-License-Identifier: BSD-2-Clause
#include "vend/wire.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace peermr::vend {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(VendWire, RequestsComeBackAsTheyWere) {
  const Request request{.kind = RequestKind::kRenew,
                        .number = 0x01020304,
                        .loan = 0x1122334455667788,
                        .bytes = ~std::uint64_t{0},
                        .lease_ms = 30000,
                        .wait_ms = 1};
  EXPECT_EQ(decode_request(encode(request)), request);
}

// docs/vending.md has the layout, for those who write a borrower in another language.
TEST(VendWire, RequestsAreLittleEndianAndLaidOutAsDocumented) {
  const auto packet = encode(Request{.kind = RequestKind::kGiveBack,
                                     .number = 0x0a0b0c0d,
                                     .loan = 2,
                                     .bytes = 3,
                                     .lease_ms = 4,
                                     .wait_ms = 5});
  const std::vector<int> expected = {3, 0, 0, 0, 0xd, 0xc, 0xb, 0xa};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(std::to_integer<int>(packet[i]), expected[i]) << i;
  }
  for (std::size_t i = 1; i < 5; ++i) {
    EXPECT_EQ(std::to_integer<std::size_t>(packet[8 * i]), i + 1) << i;
  }
}

TEST(VendWire, NoticesComeBackAsTheyWere) {
  const Notice notice{.kind = NoticeKind::kRefused,
                      .number = 1,
                      .loan = 2,
                      .generation = 3,
                      .bytes = 4,
                      .lease_ms = 5,
                      .slice = 6,
                      .code = 7,
                      .slices = 8,
                      .flags = 9,
                      .version = 10,
                      .text = "none is free"};
  EXPECT_EQ(decode_notice(bytes_of(encode(notice))), notice);
}

TEST(VendWire, TextThatIsTooLongIsCut) {
  Notice notice;
  notice.text.assign(10000, 'x');
  const std::string packet = encode(notice);
  EXPECT_EQ(packet.size(), kMaxPacketBytes);
  EXPECT_EQ(decode_notice(bytes_of(packet))->text, std::string(kMaxTextBytes, 'x'));
}

TEST(VendWire, OtherSizesAndKindsAreNothing) {
  const std::string good = encode(Notice{.text = "abc"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(decode_notice(bytes_of(good.substr(0, size)))) << size;
    if (size != kRequestBytes) {
      EXPECT_FALSE(decode_request(bytes_of(good.substr(0, size)))) << size;
    }
  }
  EXPECT_FALSE(decode_notice(bytes_of(good + "d")));
  EXPECT_FALSE(decode_notice(bytes_of(std::string(kMaxPacketBytes + 1, '\1'))));
  EXPECT_FALSE(decode_request(encode(Request{.kind = static_cast<RequestKind>(0)})));
  EXPECT_FALSE(decode_request(encode(Request{.kind = static_cast<RequestKind>(4)})));
  EXPECT_FALSE(decode_notice(bytes_of(encode(Notice{.kind = static_cast<NoticeKind>(8)}))));
}

}  // namespace
}  // namespace peermr::vend
