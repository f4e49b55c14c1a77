// SPDX-License-Identifier: BSD-2-Clause
//
// SET_IRQS: eventfds, masks, pending interrupts.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "pnic_client.hpp"
#include "protocol_fixture.hpp"

namespace peermr::test {
namespace {

using Interrupts = Protocol;

TEST_F(Interrupts, SetIrqsFollowsVfio) {
  connect();
  constexpr uint32_t kNone = 1, kBool = 2, kEventfd = 4, kMask = 8, kUnmask = 16, kTrigger = 32;
  const Reply info = client->call(kCmdIrqInfo, Payload().u32(16).u32(0).u32(kMsixIndex).u32(0));
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info.at<uint32_t>(12), PNIC_NUM_VECTORS);
  EXPECT_EQ(client->call(kCmdIrqInfo, Payload().u32(16).u32(0).u32(0).u32(0)).at<uint32_t>(12), 0u);
  EXPECT_EQ(client->call(kCmdIrqInfo, Payload().u32(16).u32(0).u32(5).u32(0)).error, EINVAL);

  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const auto count = [fd] {
    uint64_t value = 0;
    return ::read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
  };
  const std::span<const int> one(&fd, 1);
  EXPECT_TRUE(client->set_irqs(kEventfd | kTrigger, kMsixIndex, 0, 16)
                  .ok());  // a trial without descriptors
  EXPECT_TRUE(client->set_irqs(kEventfd | kTrigger, kMsixIndex, 3, 1, one).ok());
  EXPECT_TRUE(client->set_irqs(kNone | kTrigger, kMsixIndex, 3, 1).ok());
  EXPECT_EQ(count(), 1u);
  const std::byte flags[] = {std::byte{0}, std::byte{1}};
  EXPECT_TRUE(client->set_irqs(kBool | kTrigger, kMsixIndex, 2, 2, {}, flags).ok());
  EXPECT_EQ(count(), 1u);
  // Masked: pending, and delivered when it is unmasked.
  EXPECT_TRUE(client->set_irqs(kNone | kMask, kMsixIndex, 3, 1).ok());
  EXPECT_TRUE(client->set_irqs(kNone | kTrigger, kMsixIndex, 3, 1).ok());
  EXPECT_EQ(count(), 0u);
  client->write(kConfig, 4, 2, 2);
  EXPECT_EQ(client->read(kBar0, PNIC_MSIX_PBA_OFFSET, 8), 1u << 3);
  EXPECT_TRUE(client->set_irqs(kNone | kUnmask, kMsixIndex, 3, 1).ok());
  EXPECT_EQ(count(), 1u);
  // Without its eventfd for a while: delivered when it is back.
  EXPECT_TRUE(client->set_irqs(kNone | kTrigger, kMsixIndex, 0, 0).ok());
  EXPECT_TRUE(client->set_irqs(kNone | kTrigger, kMsixIndex, 3, 1).ok());
  EXPECT_TRUE(client->set_irqs(kEventfd | kTrigger, kMsixIndex, 3, 1, one).ok());
  EXPECT_EQ(count(), 1u);
  ::close(fd);
}

TEST_F(Interrupts, BadSetIrqsAreRefused) {
  connect();
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const std::span<const int> one(&fd, 1);
  const uint32_t bad_flags[] = {0, 1, 32, 0x21 | 2, 0x21 | 8, 0x40 | 0x21, ~0u};
  for (const uint32_t flags : bad_flags)
    EXPECT_EQ(client->set_irqs(flags, kMsixIndex, 0, 1).error, EINVAL) << flags;
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, 0, 17).error, EINVAL);
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, 16, 1).error, EINVAL);
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, ~0u, 2).error, EINVAL);
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, 1, ~0u).error, EINVAL);
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, 0, 2, one).error,
            EINVAL);  // one descriptor for two vectors
  EXPECT_EQ(client->set_irqs(0x21, kMsixIndex, 0, 1, one).error,
            EINVAL);                                                  // a descriptor without use
  EXPECT_EQ(client->set_irqs(0x22, kMsixIndex, 0, 4).error, EINVAL);  // no booleans
  EXPECT_EQ(client->set_irqs(0x24, 0, 0, 1, one).error, EINVAL);      // no INTx
  EXPECT_EQ(client->set_irqs(0x24, 5, 0, 1, one).error, EINVAL);
  EXPECT_EQ(client->set_irqs(0x24, kMsixIndex, 0, 1, std::span(&null, 1)).error,
            EINVAL);  // not an eventfd
  ::close(fd);
  ::close(null);
}

}  // namespace
}  // namespace peermr::test
