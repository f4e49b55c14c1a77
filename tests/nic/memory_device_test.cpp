// SPDX-License-Identifier: BSD-2-Clause
//
// The memory device, from docs/memory-device.md.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "pnicd_process.hpp"
#include "vfio_client.hpp"

namespace peermr::test {
namespace {

constexpr uint32_t kBar4 = 4;
constexpr uint64_t kLarge = 1 << 20;
constexpr uint64_t kSecond = 16 << 20;
constexpr uint64_t kCommand = 0x04;
constexpr uint64_t kPowerControl = 0x44;
constexpr uint64_t kDeviceControl = 0x68;
constexpr uint64_t kAfControl = 0xa4;
constexpr uint64_t kControl = 0x08;
constexpr uint64_t kResets = 0x0c;
constexpr uint64_t kScratch = 0x10;
constexpr uint64_t kResetsByPlatform = 0x14;
constexpr uint64_t kResetsByAf = 0x18;
constexpr uint64_t kResetsByPower = 0x1c;

/// A BAR, mapped as a VMM maps it.
class Mapping {
 public:
  Mapping(VfioClient& client, uint32_t region, uint64_t size) : size_(size) {
    Reply reply = client.region_info(region, 64);
    if (!reply.ok() || reply.fds.size() != 1) return;
    fd = std::move(reply.fds.front());
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (address != MAP_FAILED) bytes_ = static_cast<volatile uint8_t*>(address);
  }
  ~Mapping() {
    if (bytes_ != nullptr) ::munmap(const_cast<uint8_t*>(bytes_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool ok() const { return bytes_ != nullptr; }
  volatile uint8_t& operator[](uint64_t at) { return bytes_[at]; }

  UniqueFd fd;

 private:
  uint64_t size_;
  volatile uint8_t* bytes_ = nullptr;
};

/// One device that keeps its memory and one whose memory is volatile.
class MemoryDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    kept = connect(0);
    lost = connect(1);
  }
  void TearDown() override {
    kept.reset();
    lost.reset();
    ASSERT_TRUE(pnicd.alive());
    EXPECT_EQ(pnicd.stop(), 0);
  }

  std::unique_ptr<VfioClient> connect(size_t index) {
    auto client = std::make_unique<VfioClient>(pnicd.memory_socket(index));
    client->write(kConfig, kCommand, 2, 2);
    return client;
  }
  static uint32_t config(VfioClient& client, uint64_t offset, size_t size) {
    return static_cast<uint32_t>(client.read(kConfig, offset, size));
  }
  static uint32_t reg(VfioClient& client, uint64_t offset) {
    return static_cast<uint32_t>(client.read(kBar0, offset, 4));
  }
  static void af_reset(VfioClient& client) {
    client.write(kConfig, kAfControl, 1, 1);
    client.write(kConfig, kCommand, 2, 2);
  }
  static uint8_t capability(VfioClient& client, uint32_t id) {
    for (uint32_t at = config(client, 0x34, 1); at != 0; at = config(client, at + 1, 1)) {
      if (config(client, at, 1) == id) return static_cast<uint8_t>(at);
    }
    return 0;
  }

  PnicdProcess pnicd{1, {}, {"size=1M", "size=1M,volatile"}};
  std::unique_ptr<VfioClient> kept;
  std::unique_ptr<VfioClient> lost;
};

TEST_F(MemoryDevice, ConfigSpaceIsTheDocuments) {
  EXPECT_EQ(config(*kept, 0, 4), 0x504f1234u);
  EXPECT_EQ(config(*kept, 8, 4) >> 8, 0x058000u);
  EXPECT_NE(capability(*kept, 0x01), 0);
  EXPECT_EQ(capability(*kept, 0x11), 0);  // no MSI-X
  const uint32_t express = capability(*kept, 0x10);
  ASSERT_NE(express, 0u);
  EXPECT_EQ(config(*kept, express + 4, 4) & 1u << 28, 0u);  // no FLR there
  const uint32_t af = capability(*kept, 0x13);
  ASSERT_EQ(af, kAfControl - 4);
  EXPECT_EQ(config(*kept, af + 2, 1), 6u);
  EXPECT_EQ(config(*kept, af + 3, 1), 3u);          // transactions pending, FLR
  EXPECT_EQ(config(*kept, 0x100, 4), 0x00020001u);  // AER, and nothing after it
}

TEST_F(MemoryDevice, BarsTellTheirSizes) {
  const auto size_of = [&](uint64_t at) {
    kept->write(kConfig, at, ~uint64_t{0}, 8);
    return ~(kept->read(kConfig, at, 8) & ~uint64_t{0xf}) + 1;
  };
  EXPECT_EQ(config(*kept, 0x10, 4) & 0xf, 0x4u);
  EXPECT_EQ(config(*kept, 0x18, 4) & 0xf, 0xcu);
  EXPECT_EQ(config(*kept, 0x20, 4) & 0xf, 0xcu);
  EXPECT_EQ(size_of(0x10), 4096u);
  EXPECT_EQ(size_of(0x18), kLarge);
  EXPECT_EQ(size_of(0x20), kSecond);
}

TEST_F(MemoryDevice, ErrorMasksCanBeWrittenAndStatusesCannot) {
  for (const uint64_t status : {0x104u, 0x110u}) {
    kept->write(kConfig, status, 0xffffffff, 4);
    EXPECT_EQ(config(*kept, status, 4), 0u) << status;
  }
  const uint32_t mask = config(*kept, 0x108, 4);
  kept->write(kConfig, 0x108, mask ^ 0x4000, 4);
  EXPECT_EQ(config(*kept, 0x108, 4), mask ^ 0x4000);
}

TEST_F(MemoryDevice, MappingAndMessagesShowTheSameMemory) {
  for (const auto& [region, size] : {std::pair{kBar2, kLarge}, std::pair{kBar4, kSecond}}) {
    Mapping memory(*kept, region, size);
    ASSERT_TRUE(memory.ok());
    memory[size - 1] = 0x5a;
    EXPECT_EQ(kept->read(region, size - 1, 1), 0x5au);
    kept->write(region, 0, 0x1122334455667788, 8);
    EXPECT_EQ(memory[0], 0x88);
  }
}

TEST_F(MemoryDevice, TheClientCannotShrinkTheMemory) {
  Mapping memory(*kept, kBar2, kLarge);
  ASSERT_TRUE(memory.ok());
  EXPECT_NE(::ftruncate(memory.fd.get(), 0), 0);
}

TEST_F(MemoryDevice, AfResetKeepsMemoryOrLosesItAndClearsTheRest) {
  Mapping kept_memory(*kept, kBar2, kLarge);
  Mapping lost_memory(*lost, kBar2, kLarge);
  Mapping lost_second(*lost, kBar4, kSecond);
  ASSERT_TRUE(kept_memory.ok() && lost_memory.ok() && lost_second.ok());
  for (Mapping* memory : {&kept_memory, &lost_memory, &lost_second}) (*memory)[5] = 7;
  for (VfioClient* client : {kept.get(), lost.get()}) {
    const uint32_t resets = reg(*client, kResets);
    const uint32_t by_af = reg(*client, kResetsByAf);
    client->write(kBar0, kScratch, 0xabcd, 4);
    EXPECT_EQ(reg(*client, kScratch), 0xabcdu);
    client->write(kConfig, kAfControl, 1, 1);
    EXPECT_EQ(config(*client, kAfControl, 1), 0u);
    EXPECT_EQ(config(*client, kCommand, 2), 0u);
    client->write(kConfig, kCommand, 2, 2);
    EXPECT_EQ(reg(*client, kScratch), 0u);
    EXPECT_EQ(reg(*client, kResets), resets + 1);
    EXPECT_EQ(reg(*client, kResetsByAf), by_af + 1);
  }
  EXPECT_EQ(kept_memory[5], 7);
  EXPECT_EQ(lost_memory[5], 0);
  EXPECT_EQ(lost_second[5], 0);
}

TEST_F(MemoryDevice, OnlyTheResetBitResets) {
  const uint32_t resets = reg(*kept, kResets);
  kept->write(kConfig, kAfControl, 0xfe, 1);
  kept->write(kConfig, kDeviceControl, 0x8000, 2);  // FLR, which this device does not have
  kept->write(kConfig, kAfControl - 4, 0x0103, 2);  // the capability's head
  EXPECT_EQ(reg(*kept, kResets), resets);
  EXPECT_EQ(config(*kept, kCommand, 2), 2u);
}

TEST_F(MemoryDevice, ControlDecidesWhetherAResetKeepsMemory) {
  kept->write(kBar0, kControl, 0, 4);
  lost->write(kBar0, kControl, 0xffffffff, 4);
  EXPECT_EQ(reg(*lost, kControl), 1u);
  for (VfioClient* client : {kept.get(), lost.get()}) {
    client->write(kBar2, 64, 9, 1);
    af_reset(*client);
  }
  EXPECT_EQ(kept->read(kBar2, 64, 1), 0u);
  EXPECT_EQ(lost->read(kBar2, 64, 1), 9u);
  EXPECT_EQ(reg(*kept, kControl), 0u);  // and it outlives the reset
}

TEST_F(MemoryDevice, PlatformResetAndPowerUpAreCountedApart) {
  lost->write(kBar2, 0, 1, 1);
  ASSERT_TRUE(lost->call(kCmdReset, Payload()).ok());
  lost->write(kConfig, kCommand, 2, 2);
  EXPECT_EQ(reg(*lost, kResetsByPlatform), 1u);
  EXPECT_EQ(lost->read(kBar2, 0, 1), 0u);
  lost->write(kBar2, 0, 1, 1);
  lost->write(kConfig, kPowerControl, 3, 2);
  lost->write(kConfig, kPowerControl, 0, 2);
  lost->write(kConfig, kCommand, 2, 2);
  EXPECT_EQ(reg(*lost, kResetsByPower), 1u);
  EXPECT_EQ(lost->read(kBar2, 0, 1), 0u);
}

TEST_F(MemoryDevice, NoAccessWithoutDecodingOrInD3hot) {
  const auto refused = [&](uint32_t region) {
    return kept->call(kCmdRegionRead, Payload().u64(0).u32(region).u32(4)).error ==
           static_cast<uint32_t>(EIO);
  };
  kept->write(kConfig, kCommand, 0, 2);
  EXPECT_TRUE(refused(kBar0) && refused(kBar2) && refused(kBar4));
  kept->write(kConfig, kCommand, 2, 2);
  kept->write(kConfig, kPowerControl, 3, 2);
  EXPECT_TRUE(refused(kBar0) && refused(kBar2) && refused(kBar4));
}

TEST_F(MemoryDevice, BadAccessesAreRefusedOrIgnored) {
  const auto status = [&](uint32_t region, uint64_t offset, uint32_t count) {
    return kept->call(kCmdRegionRead, Payload().u64(offset).u32(region).u32(count)).error;
  };
  EXPECT_EQ(status(kBar2, kLarge, 1), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(status(kBar2, kLarge - 1, 2), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(status(kBar2, ~uint64_t{0}, 2), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(status(kConfig, 4096, 1), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(status(1, 0, 4), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(kept->read(kBar0, 1, 4), 0xffffffffu);
  EXPECT_EQ(kept->read(kBar0, 0, 2), 0xffffu);
  EXPECT_EQ(reg(*kept, 0), 0x6d656d70u);
  EXPECT_EQ(reg(*kept, 0xffc), 0u);
  const int32_t none = -1;
  EXPECT_NE(kept->set_irqs(0x24, kMsixIndex, 0, 1, {}, std::as_bytes(std::span(&none, 1))).error,
            0u);
  EXPECT_EQ(kept->dma_map(0, 4096, 0, -1, 0x80).error, static_cast<uint32_t>(EINVAL));
  EXPECT_TRUE(kept->dma_map(0, 4096, 0, -1).ok());
  EXPECT_TRUE(kept->dma_unmap(0, 4096).ok());
}

TEST_F(MemoryDevice, KeptMemoryOutlivesItsClientAndVolatileMemoryIsNew) {
  Mapping old(*lost, kBar2, kLarge);
  ASSERT_TRUE(old.ok());
  kept->write(kBar2, 3, 4, 1);
  lost->write(kBar2, 3, 4, 1);
  kept.reset();
  lost.reset();
  kept = connect(0);
  lost = connect(1);
  EXPECT_EQ(kept->read(kBar2, 3, 1), 4u);
  EXPECT_EQ(lost->read(kBar2, 3, 1), 0u);
  old[8] = 1;  // who left does not reach the next client's memory
  EXPECT_EQ(lost->read(kBar2, 8, 1), 0u);
}

TEST(HugeMemoryDevice, CostsWhatIsUsed) {
  constexpr uint64_t kHuge = uint64_t{16} << 30;
  PnicdProcess pnicd(1, {}, {"size=16G,volatile"});
  VfioClient client(pnicd.memory_socket(0));
  client.write(kConfig, kCommand, 2, 2);
  Mapping memory(client, kBar2, kHuge);
  ASSERT_TRUE(memory.ok());
  memory[kHuge - 1] = 3;
  EXPECT_EQ(client.read(kBar2, kHuge - 1, 1), 3u);
  struct stat status {};
  ASSERT_EQ(::fstat(memory.fd.get(), &status), 0);
  EXPECT_LT(status.st_blocks, 8192);
  client.write(kConfig, kAfControl, 1, 1);
  EXPECT_EQ(memory[kHuge - 1], 0);
}

}  // namespace
}  // namespace peermr::test
