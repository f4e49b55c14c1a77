// SPDX-License-Identifier: BSD-2-Clause
//
// The vfio-user protocol: what a well-behaved client gets, and what the others get.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "guest_memory.hpp"
#include "pnic_client.hpp"
#include "protocol_fixture.hpp"

namespace peermr::test {
namespace {

TEST_F(Protocol, VersionReplyIsASubsetOfTheProposal) {
  connect(false);
  const Reply reply = client->negotiate(0, 3, R"({"capabilities":{"max_msg_fds":4}})");
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint16_t>(0), 0);
  EXPECT_EQ(reply.at<uint16_t>(2), 0);
  const std::string json(reinterpret_cast<const char*>(reply.payload.data()) + 4,
                         reply.payload.size() - 4);
  EXPECT_EQ(json.back(), '\0');
  EXPECT_NE(json.find("max_data_xfer_size"), std::string::npos);
  EXPECT_EQ(json.find("write_multiple"), std::string::npos);
}

TEST_F(Protocol, VersionWithoutDataIsEnough) {
  connect(false);
  EXPECT_TRUE(client->call(kCmdVersion, Payload().u16(0).u16(0)).ok());
}

TEST_F(Protocol, BadVersionsEndTheConnection) {
  const std::string good = VfioClient::default_capabilities();
  struct Bad {
    uint16_t major;
    std::string json;
    bool terminated;
  };
  const Bad cases[] = {{1, good, true},
                       {0, good, false},
                       {0, "{", true},
                       {0, "[]", true},
                       {0, R"({"capabilities":7})", true},
                       {0, R"({"capabilities":{"max_msg_fds":-1}})", true},
                       {0, R"({"capabilities":{"max_msg_fds":"x"}})", true},
                       {0, R"({"capabilities":{"max_data_xfer_size":0}})", true},
                       {0, R"({"capabilities":{"write_multiple":1}})", true},
                       {0, std::string(200000, '['), true},
                       {0, std::string("{}\0{}", 5), true}};
  for (const Bad& bad : cases) {
    connect(false);
    EXPECT_TRUE(client->negotiate(bad.major, 0, bad.json, bad.terminated).closed)
        << bad.json.substr(0, 60);
  }
}

TEST_F(Protocol, NothingBeforeVersion) {
  connect(false);
  EXPECT_TRUE(client->call(kCmdGetInfo, Payload().u32(16).u32(0).u32(0).u32(0)).closed);
}

TEST_F(Protocol, SecondVersionIsRefused) {
  connect();
  EXPECT_EQ(client->negotiate(0, 0, "{}").error, EINVAL);
}

TEST_F(Protocol, DeviceInfoNamesAPciDevice) {
  connect();
  const Reply reply = client->call(kCmdGetInfo, Payload().u32(16).u32(0).u32(0).u32(0));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint32_t>(0), 16u);
  EXPECT_EQ(reply.at<uint32_t>(4), 3u);  // reset, PCI
  EXPECT_EQ(reply.at<uint32_t>(8), 9u);
  EXPECT_EQ(reply.at<uint32_t>(12), 5u);
}

TEST_F(Protocol, RegionInfoDescribesTheBars) {
  connect();
  Reply reply = client->region_info(kBar0, 32);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint32_t>(4), 3u);
  EXPECT_EQ(reply.at<uint64_t>(16), PNIC_BAR_REGS_SIZE);
  EXPECT_TRUE(reply.fds.empty());

  // Too small for the capability: the size that it takes, and no descriptor yet.
  reply = client->region_info(kBar2, 32);
  ASSERT_TRUE(reply.ok());
  const uint32_t needed = reply.at<uint32_t>(0);
  EXPECT_GT(needed, 32u);
  EXPECT_TRUE(reply.fds.empty());
  reply = client->region_info(kBar2, needed);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint32_t>(4), 15u);
  EXPECT_EQ(reply.at<uint64_t>(16), PNIC_BAR_DOORBELL_SIZE);
  ASSERT_EQ(reply.fds.size(), 1u);
  const uint32_t cap = reply.at<uint32_t>(12);
  EXPECT_EQ(reply.at<uint16_t>(cap), 1u);
  EXPECT_EQ(reply.at<uint32_t>(cap + 8), 1u);
  EXPECT_EQ(reply.at<uint64_t>(cap + 24), PNIC_BAR_DOORBELL_SIZE);

  EXPECT_EQ(client->region_info(9, 32).error, EINVAL);
  EXPECT_EQ(client->region_info(kBar0, 31).error, EINVAL);
  reply = client->region_info(1, 32);
  EXPECT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint64_t>(16), 0u);
}

TEST_F(Protocol, DoorbellMemoryCannotBeShrunkByTheClient) {
  connect();
  const Reply reply = client->region_info(kBar2, 256);
  ASSERT_EQ(reply.fds.size(), 1u);
  EXPECT_NE(::ftruncate(reply.fds[0].get(), 0), 0);
}

TEST_F(Protocol, TruncatedAndOversizedPayloadsAreRefused) {
  connect();
  for (uint16_t command = 2; command <= 18; ++command) {
    for (const size_t size : {0u, 1u, 7u, 200u}) {
      if (command == kCmdReset && size == 0) continue;
      const std::vector<std::byte> payload(size, std::byte{0x5a});
      const Reply reply = client->call(command, payload);
      ASSERT_FALSE(reply.closed) << command << " " << size;
      EXPECT_NE(reply.error, 0u) << command << " " << size;
    }
  }
}

TEST_F(Protocol, UnknownCommandsAreRefused) {
  connect();
  for (const uint16_t command : std::initializer_list<uint16_t>{0, 6, 14, 16, 19, 1000, 65535})
    EXPECT_NE(client->call(command, Payload()).error, 0u);
}

TEST_F(Protocol, BadHeadersEndTheConnection) {
  const MessageHeader cases[] = {{1, kCmdGetInfo, 15, 0, 0},
                                 {1, kCmdGetInfo, 0, 0, 0},
                                 {1, kCmdGetInfo, 0xffffffff, 0, 0},
                                 {1, kCmdGetInfo, (1 << 20) + 4096, 0, 0},
                                 {1, kCmdGetInfo, 16, 2, 0},
                                 {1, kCmdDmaRead, 16, kFlagReply, 0},
                                 {77, kCmdDmaWrite, 16, kFlagReply | kFlagError, 5}};
  for (const MessageHeader& header : cases) {
    connect();
    client->send_raw(std::as_bytes(std::span(&header, 1)));
    EXPECT_TRUE(client->wait_closed()) << header.size << " " << header.flags;
  }
}

TEST_F(Protocol, MessagesMayArriveInPieces) {
  connect();
  const MessageHeader header{42, kCmdGetInfo, 32, 0, 0};
  Payload message;
  message.raw(&header, sizeof(header)).u32(16).u32(0).u32(0).u32(0);
  for (const std::byte& byte : message.bytes()) {
    client->send_raw(std::span(&byte, 1));
    ::usleep(200);
  }
  EXPECT_TRUE(client->wait_for(42).ok());
}

TEST_F(Protocol, AClientThatLeavesInTheMiddleIsForgotten) {
  for (int i = 0; i < 20; ++i) {
    connect();
    const MessageHeader header{42, kCmdRegionWrite, 4000, 0, 0};
    client->send_raw(std::as_bytes(std::span(&header, 1)));
    client->close();
  }
}

TEST_F(Protocol, NoReplyMeansNoReply) {
  connect();
  client->post(kCmdGetInfo, {}, kFlagNoReply);
  client->post(999, {}, kFlagNoReply);
  const Reply reply = client->call(kCmdGetInfo, Payload().u32(16).u32(0).u32(0).u32(0));
  EXPECT_TRUE(reply.ok());
}

TEST_F(Protocol, PipelinedCommandsAreAnsweredInOrder) {
  connect();
  std::vector<uint16_t> ids;
  const Payload query = Payload().u32(16).u32(0).u32(0).u32(0);
  for (int i = 0; i < 300; ++i) ids.push_back(client->post(kCmdGetInfo, query.bytes()));
  for (const uint16_t id : ids) EXPECT_TRUE(client->wait_for(id).ok());
}

TEST_F(Protocol, AClientThatNeverReadsIsCutOff) {
  connect();
  const Payload query = Payload().u64(0).u32(kBar2).u32(1 << 20);
  client->write(kConfig, 4, 2, 2);
  // 64 replies of 1 MiB: far more than the server is willing to keep.
  for (int i = 0; i < 64; ++i) client->post(kCmdRegionRead, query.bytes());
  bool gone = false;
  for (int i = 0; i < 100 && !gone; ++i) {
    gone = !client->send_raw(query.bytes());
    ::usleep(10000);
  }
  EXPECT_TRUE(gone);
}

TEST_F(Protocol, DescriptorsAreTakenOnlyWhereTheyBelong) {
  connect();
  const int fd = ::memfd_create("stray", MFD_CLOEXEC);
  const Payload query = Payload().u32(16).u32(0).u32(0).u32(0);
  const size_t before = pnicd.open_files();
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(client->call(kCmdGetInfo, query, std::span(&fd, 1)).error, EINVAL);
  const int two[] = {fd, fd};
  EXPECT_EQ(client->call(kCmdDmaMap, Payload().u32(32).u32(3).u64(0).u64(0).u64(4096), two).error,
            EINVAL);
  EXPECT_EQ(pnicd.open_files(), before);
  const std::vector<int> many(20, fd);
  client->post(kCmdDmaMap, Payload().u32(32).u32(3).u64(0).u64(0).u64(4096).bytes(), 0, many);
  EXPECT_TRUE(client->wait_closed());
  ::close(fd);
}

TEST_F(Protocol, AClientCannotKeepItsConnectionOpenFromTheGrave) {
  connect();
  // The first half of a message, with the client's own socket: whoever keeps that keeps the
  // connection.
  const MessageHeader header{1, kCmdDmaMap, 48, 0, 0};
  const int own = client->fd();
  client->send_raw(std::as_bytes(std::span(&header, 1)), std::span(&own, 1));
  ::usleep(20000);
  client->close();
}

TEST_F(Protocol, EachDescriptorGoesWithItsOwnMessage) {
  connect();
  GuestMemory memory(1 << 20);
  // A burst: every second one without a descriptor.
  std::vector<uint16_t> ids;
  for (uint64_t i = 0; i < 64; ++i) {
    const int fd = memory.fd();
    const Payload map = Payload().u32(32).u32(3).u64(i * 4096).u64(0x100000 + i * 4096).u64(4096);
    ids.push_back(client->post(kCmdDmaMap, map.bytes(), 0, std::span(&fd, i % 2 == 0 ? 1u : 0u)));
  }
  for (const uint16_t id : ids) EXPECT_TRUE(client->wait_for(id).ok());
}

TEST_F(Protocol, DmaMapChecksItsRange) {
  connect();
  GuestMemory memory(1 << 20);
  const int fd = memory.fd();
  EXPECT_EQ(client->dma_map(0x10000, 0, 0, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 100, 0, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10001, 4096, 0, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 4096, 7, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 4096, 1 << 20, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 2 << 20, 0, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 4096, ~uint64_t{4095}, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(~uint64_t{4095}, 8192, 0, fd).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 4096, 0, fd, 0).error, EINVAL);
  EXPECT_EQ(client->dma_map(0x10000, 4096, 0, fd, 7).error, EINVAL);
  EXPECT_TRUE(client->dma_map(~uint64_t{4095}, 4096, 0, fd).ok());  // the very last page
  EXPECT_TRUE(client->dma_map(0x10000, 8192, 0, fd).ok());
  EXPECT_EQ(client->dma_map(0x11000, 4096, 0, fd).error, EEXIST);
  EXPECT_EQ(client->dma_map(0xf000, 8192, 0, fd).error, EEXIST);
  EXPECT_EQ(client->dma_map(0x0, 0x100000, 0, fd).error, EEXIST);
}

TEST_F(Protocol, DmaMapRefusesWhatIsNotAFile) {
  connect();
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int folder = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (const int fd : {pipe_fds[0], null, folder})
    EXPECT_NE(client->dma_map(0x10000, 4096, 0, fd).error, 0u);
  for (const int fd : {pipe_fds[0], pipe_fds[1], null, folder}) ::close(fd);
}

TEST_F(Protocol, AReadOnlyDescriptorGivesReadOnlyMemory) {
  connect();
  GuestMemory memory(1 << 20);
  const std::string path = "/proc/self/fd/" + std::to_string(memory.fd());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(client->dma_map(0x10000, 4096, 0, fd, 3).error, EACCES);
  EXPECT_TRUE(client->dma_map(0x10000, 4096, 0, fd, 1).ok());
  ::close(fd);
}

TEST_F(Protocol, UnmapTakesWholeRangesOnly) {
  connect();
  GuestMemory memory(1 << 20);
  ASSERT_TRUE(client->dma_map(0x10000, 0x4000, 0, memory.fd()).ok());
  ASSERT_TRUE(client->dma_map(0x20000, 0x1000, 0, memory.fd()).ok());
  EXPECT_EQ(client->dma_unmap(0x10000, 0x1000).error, EINVAL);
  EXPECT_EQ(client->dma_unmap(0x12000, 0x10000).error, EINVAL);
  EXPECT_EQ(client->dma_unmap(0x10000, 0).error, EINVAL);
  const Reply reply = client->dma_unmap(0x10000, 0x4000);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint64_t>(8), 0x10000u);
  EXPECT_EQ(reply.at<uint64_t>(16), 0x4000u);
  // A VMM flushes address spaces in which nothing may be mapped.
  EXPECT_TRUE(client->dma_unmap(0, uint64_t{1} << 63).ok());
  EXPECT_TRUE(client->dma_map(0x10000, 0x1000, 0, memory.fd()).ok());
  EXPECT_TRUE(client->dma_unmap(0, 0, 2).ok());  // all
  EXPECT_TRUE(client->dma_map(0x10000, 0x1000, 0, memory.fd()).ok());
}

TEST_F(Protocol, AFileIsMappedOnceAndDescriptorsAreClosed) {
  connect();
  GuestMemory memory(8 << 20);
  ASSERT_TRUE(client->dma_map(0, 4096, 0, memory.fd()).ok());
  const size_t files = pnicd.open_files();
  EXPECT_EQ(pnicd.mappings_of(memory.fd()), 1u);
  for (uint64_t page = 1; page < 2000; ++page) {
    ASSERT_TRUE(client->dma_map(page * 8192, 4096, page * 4096, memory.fd()).ok());
  }
  EXPECT_EQ(pnicd.open_files(), files);
  EXPECT_EQ(pnicd.mappings_of(memory.fd()), 1u);
  client->close();
  EXPECT_TRUE(eventually([&] { return pnicd.mappings_of(memory.fd()) == 0; }));
}

TEST_F(Protocol, ThereIsALimitOfRanges) {
  connect();
  GuestMemory memory(4096);
  uint32_t error = 0;
  uint64_t mapped = 0;
  for (; mapped < 70000 && error == 0; ++mapped) {
    error = client->dma_map(mapped * 8192, 4096, 0, mapped == 0 ? memory.fd() : -1).error;
  }
  EXPECT_EQ(error, static_cast<uint32_t>(ENOSPC));
  EXPECT_EQ(mapped - 1, 65535u);
}

TEST_F(Protocol, RegionAccessesStayInsideTheRegion) {
  connect();
  client->write(kConfig, 4, 2, 2);
  const auto read = [&](uint64_t offset, uint32_t region, uint32_t size) {
    return client->call(kCmdRegionRead, Payload().u64(offset).u32(region).u32(size)).error;
  };
  EXPECT_EQ(read(0, kBar0, 4), 0u);
  EXPECT_EQ(read(PNIC_BAR_REGS_SIZE - 4, kBar0, 4), 0u);
  EXPECT_EQ(read(PNIC_BAR_REGS_SIZE - 3, kBar0, 4), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(read(~uint64_t{3}, kBar0, 4), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(read(0, 1, 4), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(read(0, 100, 4), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(read(0, kBar2, (1 << 20) + 1), static_cast<uint32_t>(EINVAL));
  EXPECT_EQ(read(0, kBar2, 1 << 20), 0u);
  EXPECT_EQ(read(4090, kConfig, 8), static_cast<uint32_t>(EINVAL));
  const uint32_t value = 0;
  const Payload cut = Payload().u64(0).u32(kBar0).u32(8).raw(&value, 4);
  EXPECT_EQ(client->call(kCmdRegionWrite, cut).error, static_cast<uint32_t>(EINVAL));
}

TEST_F(Protocol, WriteMultiCarriesOutEachWrite) {
  connect();
  Payload writes;
  writes.u64(3);
  writes.u64(4).u32(kConfig).u32(2).u64(2);  // memory enable
  writes.u64(PNIC_REG_ADMIN_SIZE).u32(kBar0).u32(4).u64(7);
  writes.u64(PNIC_REG_ADMIN_VECTOR).u32(kBar0).u32(4).u64(5);
  const Reply reply = client->call(kCmdWriteMulti, writes);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.at<uint64_t>(0), 3u);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_ADMIN_SIZE, 4), 7u);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_ADMIN_VECTOR, 4), 5u);

  Payload bad;
  bad.u64(2);
  bad.u64(PNIC_REG_ADMIN_SIZE).u32(kBar0).u32(4).u64(9);
  bad.u64(0).u32(kBar0).u32(9).u64(0);  // longer than its data
  EXPECT_EQ(client->call(kCmdWriteMulti, bad).at<uint64_t>(0), 1u);
  EXPECT_EQ(client->read(kBar0, PNIC_REG_ADMIN_SIZE, 4), 9u);
  EXPECT_EQ(client->call(kCmdWriteMulti, Payload().u64(~uint64_t{0})).error, EINVAL);
}

TEST_F(Protocol, OneClientAtATimeAndTheNextOneWaits) {
  connect();
  client->write(kConfig, 4, 6, 2);
  VfioClient second(pnicd.socket(0), false);
  const Payload version = Payload().u16(0).u16(0);
  const uint16_t id = second.post(kCmdVersion, version.bytes());
  ::usleep(20000);
  EXPECT_EQ(client->read(kConfig, 4, 2), 6u);
  client->close();
  EXPECT_TRUE(second.wait_for(id).ok());
  EXPECT_EQ(second.read(kConfig, 4, 2), 0u);  // a fresh device
  second.close();
}

TEST_F(Protocol, TruncatingSharedMemoryCostsTheConnectionOnly) {
  auto memory = std::make_shared<GuestMemory>(8 << 20);
  PnicClient nic(pnicd.socket(0), memory);
  ASSERT_EQ(::ftruncate(memory->fd(), 0), 0);
  nic.vfio.write(kBar0, PNIC_REG_ASQ_DOORBELL, 2,
                 4);  // makes the device look at memory that is gone
  EXPECT_TRUE(nic.vfio.wait_closed());
}

}  // namespace
}  // namespace peermr::test
