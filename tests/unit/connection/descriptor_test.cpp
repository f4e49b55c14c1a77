// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/descriptor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace peermr {
namespace {

using testing::HasSubstr;

RegionDescriptor live() {
  return {.id = RegionId(0x0102030405060708),
          .state = DescriptorState::kLive,
          .key_dies_with_generation = true,
          .address = Iova(0x1111222233334444),
          .length_bytes = 0x10000,
          .rkey = Rkey(0xa1b2c3d4),
          .generation = Generation(9),
          .key_epoch = KeyEpoch(7)};
}

TEST(Descriptor, ComesBackAsItWas) {
  for (const auto state :
       {DescriptorState::kLive, DescriptorState::kPaused, DescriptorState::kDead}) {
    RegionDescriptor descriptor = live();
    descriptor.state = state;
    if (state != DescriptorState::kLive) descriptor.rkey = Rkey(0);
    const auto decoded = decode_descriptor(encode(descriptor));
    ASSERT_TRUE(decoded) << decoded.error().message();
    EXPECT_EQ(*decoded, descriptor);
  }
}

// The bytes are a promise to peers of other versions and languages.
TEST(Descriptor, HasTheBytesThatTheDocumentationSays) {
  const auto bytes = encode(live());
  std::string hex;
  for (const std::byte byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[std::to_integer<unsigned>(byte) >> 4];
    hex += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  EXPECT_EQ(hex,
            "504d5244"
            "01"
            "01"
            "0001"
            "0102030405060708"
            "1111222233334444"
            "0000000000010000"
            "0000000000000009"
            "0000000000000007"
            "a1b2c3d4"
            "00000000");
}

struct Malformed {
  const char* what;
  std::function<void(std::vector<std::byte>&)> spoil;
  const char* says;
};

class MalformedDescriptor : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedDescriptor, IsRefusedAndSaysWhy) {
  const auto good = encode(live());
  std::vector<std::byte> bytes(good.begin(), good.end());
  GetParam().spoil(bytes);
  const auto decoded = decode_descriptor(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code(), Errc::kMalformed);
  EXPECT_THAT(decoded.error().message(), HasSubstr(GetParam().says));
}

std::function<void(std::vector<std::byte>&)> set(std::size_t at, int value) {
  return [at, value](std::vector<std::byte>& bytes) { bytes[at] = static_cast<std::byte>(value); };
}

INSTANTIATE_TEST_SUITE_P(
    Each, MalformedDescriptor,
    testing::Values(
        Malformed{"Short", [](auto& bytes) { bytes.pop_back(); }, "55 bytes"},
        Malformed{"Long", [](auto& bytes) { bytes.push_back({}); }, "57 bytes"},
        Malformed{"Empty", [](auto& bytes) { bytes.clear(); }, "0 bytes"},
        Malformed{"Magic", set(0, 'Q'), "PMRD"}, Malformed{"Version0", set(4, 0), "version 0"},
        Malformed{"Version2", set(4, 2), "version 2"}, Malformed{"State0", set(5, 0), "state 0"},
        Malformed{"State4", set(5, 4), "state 4"}, Malformed{"Flags", set(7, 2), "flags"},
        Malformed{"HighFlags", set(6, 0x80), "flags"},
        Malformed{"NoBytes", set(29, 0), "no bytes"},  // 0x10000 has one byte that is not 0
        Malformed{"PausedWithKey", set(5, 2), "has a key"},
        Malformed{"DeadWithKey", set(5, 3), "has a key"},
        Malformed{"Reserved", set(55, 1), "reserved"},
        Malformed{"Overflow",
                  [](auto& bytes) {
                    for (int i = 16; i < 24; ++i)
                      bytes[static_cast<std::size_t>(i)] = std::byte{0xff};
                  },
                  "past the last address"}),
    [](const auto& test) { return test.param.what; });

TEST(Descriptor, RegionMayEndAtTheLastAddress) {
  RegionDescriptor descriptor = live();
  descriptor.address = Iova(std::numeric_limits<std::uint64_t>::max() - 0xffff);
  EXPECT_TRUE(decode_descriptor(encode(descriptor)));
}

}  // namespace
}  // namespace peermr
