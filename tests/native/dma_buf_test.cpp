// SPDX-License-Identifier: BSD-2-Clause
// dma-buf MRs, with a file in the exporter's part, and what their revocation does to traffic.
#include <dlfcn.h>
#include <peermr/pnic_hw.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "peermr_native.h"
#include "support.hpp"

namespace peermr::test {
namespace {

constexpr size_t kBytes = 1 << 20;

/// A function of the double, called by name: the program itself is linked without it.
int call(const char* name, int fd) {
  const auto function = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr ? function(fd) : ENOSYS;
}

class DmaBuf : public Connected {
 protected:
  void SetUp() override {
    Connected::SetUp();
    fd = ::memfd_create("dma-buf", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(fd, kBytes), 0);
    memory = static_cast<uint8_t*>(
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ASSERT_NE(memory, MAP_FAILED);
    mr.reset(ibv_reg_dmabuf_mr(right->pd.get(), 0, kBytes, 0, fd, kAllAccess));
    ASSERT_NE(mr, nullptr) << std::strerror(errno);
    buffer = std::make_unique<Buffer>(left->pd.get(), kBytes, 1);
  }
  void TearDown() override {
    mr.reset();
    buffer.reset();
    ::munmap(memory, kBytes);
    ::close(fd);
    Connected::TearDown();
  }
  int write(uint64_t remote, size_t length, uint64_t wr_id = 0) {
    return left->post_send(IBV_WR_RDMA_WRITE, {buffer->sge(0, length)}, wr_id, remote, mr->rkey);
  }

  int fd = -1;
  uint8_t* memory = nullptr;
  MrPtr mr;
  std::unique_ptr<Buffer> buffer;
};

TEST_F(DmaBuf, WritesAndReadsReachTheFile) {
  ASSERT_EQ(write(0, kBytes), 0);
  left->expect_success();
  EXPECT_EQ(std::memcmp(memory, buffer->data.data(), kBytes), 0);
  std::memset(memory, 0x33, 4096);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_READ, {buffer->sge(0, 4096)}, 0, 0, mr->rkey), 0);
  left->expect_success();
  EXPECT_EQ(std::memcmp(memory, buffer->data.data(), 4096), 0);
}

TEST_F(DmaBuf, OffsetAndIovaNeedNotBePageAligned) {
  const MrPtr part(
      ibv_reg_dmabuf_mr(right->pd.get(), 8192 + 100, 5000, 0x10000 + 100, fd, kAllAccess));
  ASSERT_NE(part, nullptr) << std::strerror(errno);
  ASSERT_EQ(left->post_send(IBV_WR_RDMA_WRITE, {buffer->sge(0, 5000)}, 0, 0x10000 + 100,
                            part->rkey),
            0);
  left->expect_success();
  EXPECT_EQ(std::memcmp(memory + 8192 + 100, buffer->data.data(), 5000), 0);
  EXPECT_EQ(memory[8192 + 99], 0);
  EXPECT_EQ(memory[8192 + 5100], 0);
}

TEST_F(DmaBuf, RangesOutsideTheFileAreRefused) {
  for (const auto& [offset, length] :
       {std::pair<uint64_t, size_t>{0, kBytes + 1}, {kBytes, 4096}, {4096, kBytes}, {0, 0},
        {UINT64_MAX - 4095, 4096}}) {
    errno = 0;
    EXPECT_EQ(ibv_reg_dmabuf_mr(right->pd.get(), offset, length, offset, fd, kAllAccess), nullptr);
    EXPECT_EQ(errno, EINVAL) << offset << " " << length;
  }
}

TEST_F(DmaBuf, AWriteRidesOverARevocation) {
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  ASSERT_EQ(write(0, 4096), 0);
  EXPECT_TRUE(left->stays_silent());
  EXPECT_EQ(memory[1], 0);
  ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
  left->expect_success();
  EXPECT_EQ(std::memcmp(memory, buffer->data.data(), 4096), 0);
  EXPECT_GT(statistic(b.get(), PNIC_STAT_MR_FAULT), 0u);
}

TEST_F(DmaBuf, AReceiveWaitsForItsMemory) {
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  ASSERT_EQ(right->post_recv({{0, 4096, mr->lkey}}), 0);
  ASSERT_EQ(left->post_send(IBV_WR_SEND, {buffer->sge(0, 4096)}), 0);
  EXPECT_TRUE(right->stays_silent());
  ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
  left->expect_success();
  right->expect_success();
  EXPECT_EQ(std::memcmp(memory, buffer->data.data(), 4096), 0);
}

TEST_F(DmaBuf, ARequestersOwnMemoryIsWaitedFor) {
  std::memset(memory, 0x11, 4096);
  Buffer to(left->pd.get(), 4096, 7);
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  ASSERT_EQ(right->post_send(IBV_WR_RDMA_WRITE, {{0, 4096, mr->lkey}}, 0, to.address(),
                             to.mr->rkey),
            0);
  EXPECT_TRUE(right->stays_silent());
  ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
  right->expect_success();
  EXPECT_EQ(to.data, std::vector<uint8_t>(4096, 0x11));
}

TEST_F(DmaBuf, RetriesThatRunOutEndInAnError) {
  mr.reset();
  buffer.reset();
  QpOptions impatient;
  impatient.rnr_retry = 1;
  connect(impatient, {});
  mr.reset(ibv_reg_dmabuf_mr(right->pd.get(), 0, kBytes, 0, fd, kAllAccess));
  buffer = std::make_unique<Buffer>(left->pd.get(), kBytes, 1);
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  ASSERT_EQ(write(0, 4096), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_RNR_RETRY_EXC_ERR);
  ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
}

TEST_F(DmaBuf, MemoryThatIsGoneIsAnAccessError) {
  ASSERT_EQ(call("peermr_native_dmabuf_kill", fd), 0);
  ASSERT_EQ(write(0, 4096), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(memory[1], 0);
  EXPECT_EQ(call("peermr_native_dmabuf_restore", fd), ENODEV);
}

TEST_F(DmaBuf, AWaitingWriteFailsWhenTheMemoryIsGoneForGood) {
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  ASSERT_EQ(write(0, 4096), 0);
  EXPECT_TRUE(left->stays_silent());
  ASSERT_EQ(call("peermr_native_dmabuf_kill", fd), 0);
  EXPECT_EQ(left->wait().status, IBV_WC_REM_ACCESS_ERR);
}

TEST_F(DmaBuf, NothingIsRegisteredWhileRevoked) {
  ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
  EXPECT_EQ(ibv_reg_dmabuf_mr(right->pd.get(), 0, 4096, 0, fd, kAllAccess), nullptr);
  EXPECT_EQ(errno, ENODEV);
  ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
}

// The fence: what the memory holds when a revocation has returned, it holds until the restore.
TEST_F(DmaBuf, ARevocationIsAFenceUnderTraffic) {
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> completed = 0;
  std::thread traffic([&] {
    for (uint8_t seed = 1; !stop; ++seed) {
      std::memset(buffer->data.data(), seed, kBytes);
      if (write(0, kBytes) != 0 || left->expect_success().status != IBV_WC_SUCCESS) break;
      ++completed;
    }
  });
  std::vector<uint8_t> snapshot(kBytes);
  for (int round = 0; round < 20; ++round) {
    const uint64_t before = completed;
    while (completed < before + 2) std::this_thread::yield();
    ASSERT_EQ(call("peermr_native_dmabuf_revoke", fd), 0);
    std::memcpy(snapshot.data(), memory, kBytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    EXPECT_EQ(std::memcmp(snapshot.data(), memory, kBytes), 0) << round;
    ASSERT_EQ(call("peermr_native_dmabuf_restore", fd), 0);
  }
  stop = true;
  traffic.join();
}

}  // namespace
}  // namespace peermr::test
