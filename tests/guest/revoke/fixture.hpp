// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>

#include "revoke/lab.hpp"
#include "revoke/link.hpp"
#include "revoke/traffic.hpp"

namespace revoke_test {

/// The two NICs, connected, and the owner of the memory with its buffer. The device's checks of
/// itself must not have found anything when a test ends.
class RevokeTest : public testing::Test {
 protected:
  void SetUp() override {
    self_checks_ = self_checks();
    connect(requester_, responder_);
  }

  void TearDown() override {
    EXPECT_EQ(self_checks(), self_checks_)
        << "dma_unmapped and dma_after_invalidate of both NICs must not rise";
  }

  /// The whole buffer as a region at `end`.
  peermr::Region region_at(End& end, const peermr::RegionOptions& options = {}) {
    return must(peermr::Region::create(end.pd(), buffer_, options));
  }

  static Traffic::Target target_of(const peermr::Region& region) {
    const auto keys = region.keys();
    if (!keys) give_up("the region is not live");
    return {keys->address.value(), keys->rkey.value()};
  }

  /// One write into the region from host memory, compared through the owner's mapping.
  void verified_write(const peermr::Region& region, std::uint8_t seed) {
    constexpr std::uint32_t kBytes = 64 * 1024;
    HostMemory source(requester_, kBytes);
    for (std::size_t i = 0; i < kBytes; ++i)
      source.data()[i] = static_cast<std::uint8_t>(seed + i * 7 + i / 256);
    const Traffic::Target target = target_of(region);
    const auto wc = execute(requester_, {.local = source.address(),
                                         .lkey = source.lkey(),
                                         .remote = target.address,
                                         .rkey = target.rkey,
                                         .bytes = kBytes});
    ASSERT_TRUE(wc) << "the write is stuck";
    ASSERT_EQ(wc->status, IBV_WC_SUCCESS) << ibv_wc_status_str(wc->status);
    for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(owner_.memory()[i], source.data()[i]) << i;
  }

  PmrOwner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
  End requester_{"LAB_NIC0"};
  End responder_{"LAB_NIC1"};

 private:
  std::array<std::uint64_t, 4> self_checks() const {
    return {requester_.counter("dma_unmapped"), requester_.counter("dma_after_invalidate"),
            responder_.counter("dma_unmapped"), responder_.counter("dma_after_invalidate")};
  }

  std::array<std::uint64_t, 4> self_checks_{};
};

/// A completion's status in words, for comparing and printing.
inline std::string status_of(const std::optional<ibv_wc>& wc) {
  return wc ? ibv_wc_status_str(wc->status) : "no completion";
}

inline std::string words(ibv_wc_status status) {
  return ibv_wc_status_str(status);
}

}  // namespace revoke_test
