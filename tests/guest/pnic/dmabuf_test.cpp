// SPDX-License-Identifier: BSD-2-Clause
//
// MRs on the BAR of a VFIO-owned device, through libibverbs alone (no peermr::Region): what the
// driver and the device promise when the exporter takes the memory away. Runs in a guest, with the
// variables of /etc/lab.env.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <infiniband/verbs.h>
#include <peermr/bdf.hpp>
#include <peermr/dma_buf.hpp>
#include <peermr/vfio.hpp>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "harness/lab.hpp"
#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;
using guest_test::lab;
using guest_test::must;

constexpr std::size_t kBytes = 1 << 20;
constexpr int kRemote = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

/// A VFIO device with RAM behind a BAR, a NIC with a loopback QP, host memory registered on it.
class DmaBufMr : public testing::Test {
 protected:
  static constexpr std::size_t kPage = 4096;

  peermr::vfio::Device device_ =
      must(peermr::vfio::Device::open(guest_test::lab_bdf("LAB_IVSHMEM")));
  peermr::BarIndex bar_ = guest_test::lab_bar("LAB_IVSHMEM_BAR");
  /// Objects of a device that is gone shall be freed, not kept with EIO.
  const int environment_ = ::setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 1);
  Context context_ = std::move(open_device(lab("LAB_NIC0")).value());
  Loopback loopback_ = Loopback::create(context_.get());
  std::vector<std::uint8_t> host_ = std::vector<std::uint8_t>(2 * kBytes);
  Mr host_mr_{ibv_reg_mr(loopback_.pd.get(), host_.data(), host_.size(), kRemote)};

  peermr::DmaBuf export_range(std::uint64_t offset, std::uint64_t length) {
    return must(device_.export_dma_buf(bar_, {.offset_bytes = offset, .length_bytes = length}));
  }

  Mr register_buffer(const peermr::DmaBuf& buffer, std::uint64_t offset, std::size_t length,
                     std::uint64_t iova) {
    return Mr(
        ibv_reg_dmabuf_mr(loopback_.pd.get(), offset, length, iova, buffer.fd(), kRemote));
  }

  void fill(std::uint8_t seed) {
    std::iota(host_.begin(), host_.begin() + kBytes, seed);
    std::fill(host_.begin() + kBytes, host_.end(), std::uint8_t{0});
  }

  ibv_sge first_half(std::size_t length = kBytes) {
    return {.addr = reinterpret_cast<std::uint64_t>(host_.data()),
            .length = static_cast<std::uint32_t>(length),
            .lkey = host_mr_->lkey};
  }

  ibv_sge second_half(std::size_t length = kBytes) {
    ibv_sge sge = first_half(length);
    sge.addr += kBytes;
    return sge;
  }

  /// Writes a pattern into the MR, reads it back by RDMA and compares.
  void round_trip(const ibv_mr& mr, std::uint64_t iova, std::size_t length, std::uint8_t seed) {
    fill(seed);
    ASSERT_EQ(rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(length), iova, mr.rkey),
              IBV_WC_SUCCESS);
    ASSERT_EQ(rdma(loopback_, IBV_WR_RDMA_READ, second_half(length), iova, mr.rkey),
              IBV_WC_SUCCESS);
    ASSERT_TRUE(std::equal(host_.begin(), host_.begin() + static_cast<std::ptrdiff_t>(length),
                           host_.begin() + kBytes));
  }

  std::uint64_t counter(const std::string& name) {
    std::ifstream file("/sys/class/infiniband/" +
                       std::string(ibv_get_device_name(context_->device)) + "/hw_counters/" +
                       name);
    std::uint64_t value = ~0ULL;
    file >> value;
    return value;
  }

  void TearDown() override {
    EXPECT_EQ(counter("dma_unmapped"), 0U);
    EXPECT_EQ(counter("dma_after_invalidate"), 0U);
  }
};

TEST_F(DmaBufMr, DataLandsInTheBar) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0x100000);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  round_trip(*mr, 0x100000, kBytes, 1);
  const auto mapping = must(device_.map_bar(bar_, {.offset_bytes = 0, .length_bytes = kBytes}));
  const auto* bar = reinterpret_cast<const std::uint8_t*>(mapping.bytes().data());
  EXPECT_TRUE(std::equal(host_.begin(), host_.begin() + kBytes, bar));
}

TEST_F(DmaBufMr, AnyOffsetWithinTheBufferIsReachedAtTheRightPlace) {
  const auto buffer = export_range(3 * kPage, kBytes);
  const auto mr = register_buffer(buffer, 5 * kPage + 24, 10 * kPage + 7, 0x7f0000000000 + 24);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  round_trip(*mr, 0x7f0000000000 + 24, 10 * kPage + 7, 2);
  const auto mapping = must(device_.map_bar(bar_, {.offset_bytes = 0, .length_bytes = kBytes}));
  const auto* bar = reinterpret_cast<const std::uint8_t*>(mapping.bytes().data()) + 8 * kPage + 24;
  EXPECT_TRUE(std::equal(host_.begin(), host_.begin() + 10 * kPage + 7, bar));
}

TEST_F(DmaBufMr, AccessPastTheEndIsARemoteAccessError) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kPage, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  EXPECT_EQ(rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(kPage), 1, mr->rkey),
            IBV_WC_REM_ACCESS_ERR);
}

TEST_F(DmaBufMr, BadRegistrationsAreRefused) {
  const auto buffer = export_range(0, kBytes);
  EXPECT_EQ(register_buffer(buffer, 0, kBytes + 1, 0), nullptr);
  EXPECT_EQ(register_buffer(buffer, kBytes, kPage, 0), nullptr);
  EXPECT_EQ(register_buffer(buffer, ~0ULL << 12, kPage, 0), nullptr);
  EXPECT_EQ(register_buffer(buffer, 0, 0, 0), nullptr);
  errno = 0;
  EXPECT_EQ(register_buffer(buffer, 8, kPage, 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
  errno = 0;
  EXPECT_EQ(register_buffer(buffer, 0, kBytes, ~0ULL << 12), nullptr);
  EXPECT_EQ(errno, EINVAL);
  errno = 0;
  EXPECT_EQ(Mr(ibv_reg_dmabuf_mr(loopback_.pd.get(), 0, kPage, 0, STDIN_FILENO, kRemote)), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(DmaBufMr, RegistrationWhileRevokedSaysENODEV) {
  const auto buffer = export_range(0, kBytes);
  ASSERT_TRUE(device_.set_memory_enabled(false));
  errno = 0;
  EXPECT_EQ(register_buffer(buffer, 0, kBytes, 0), nullptr);
  EXPECT_EQ(errno, ENODEV);
  ASSERT_TRUE(device_.set_memory_enabled(true));
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  round_trip(*mr, 0, kPage, 3);
}

TEST_F(DmaBufMr, TheSameKeyWorksAfterAReset) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  for (std::uint8_t i = 0; i < 20; i++) {
    ASSERT_TRUE(device_.reset());
    round_trip(*mr, 0, kBytes, i);
  }
}

TEST_F(DmaBufMr, AWriteToRevokedMemoryWaitsUntilItIsBack) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  fill(4);
  const auto faults = counter("mr_fault");
  ASSERT_TRUE(device_.set_memory_enabled(false));
  ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(), 0, mr->rkey), 0);
  EXPECT_FALSE(poll_one(loopback_, 300));
  ASSERT_TRUE(device_.set_memory_enabled(true));
  const auto wc = poll_one(loopback_, 5000);
  ASSERT_TRUE(wc);
  EXPECT_EQ(wc->status, IBV_WC_SUCCESS);
  EXPECT_GT(counter("mr_fault"), faults);
  round_trip(*mr, 0, kBytes, 5);
}

TEST_F(DmaBufMr, AWriteFromRevokedMemoryWaitsUntilItIsBack) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  round_trip(*mr, 0, kBytes, 6);
  std::fill(host_.begin() + kBytes, host_.end(), std::uint8_t{0});
  ASSERT_TRUE(device_.set_memory_enabled(false));
  const ibv_sge in_bar = {.addr = 0, .length = kBytes, .lkey = mr->lkey};
  ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, in_bar, second_half().addr, host_mr_->rkey), 0);
  EXPECT_FALSE(poll_one(loopback_, 100));
  ASSERT_TRUE(device_.set_memory_enabled(true));
  const auto wc = poll_one(loopback_, 5000);
  ASSERT_TRUE(wc);
  EXPECT_EQ(wc->status, IBV_WC_SUCCESS);
  EXPECT_TRUE(std::equal(host_.begin(), host_.begin() + kBytes, host_.begin() + kBytes));
}

TEST_F(DmaBufMr, MemoryThatIsBackIsMappedBeforeAnyAccess) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  const auto faults = counter("mr_fault");
  for (std::uint8_t i = 0; i < 10; i++) {
    ASSERT_TRUE(device_.reset());
    usleep(50000);
    round_trip(*mr, 0, kPage, i);
  }
  // The exporter says so a moment before it is true; on a busy machine the moment may be long.
  EXPECT_LE(counter("mr_fault"), faults + 5);
}

TEST_F(DmaBufMr, RevokesUnderTrafficLoseNothing) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  fill(7);
  std::atomic<bool> stop{false};
  std::atomic<int> done{0};
  std::thread traffic([&] {
    while (!stop) {
      ASSERT_EQ(rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(), 0, mr->rkey), IBV_WC_SUCCESS);
      done++;
    }
  });
  for (int i = 0; i < 50; i++) {
    const int before = done;
    if (i % 2 == 0) {
      EXPECT_TRUE(device_.reset());
    } else {
      EXPECT_TRUE(device_.set_memory_enabled(false));
      EXPECT_TRUE(device_.set_memory_enabled(true));
    }
    const auto deadline = now_ms() + 5000;
    while (done < before + 2 && now_ms() < deadline) {
      usleep(1000);
    }
    if (done < before + 2) {
      ADD_FAILURE() << "traffic is stuck, or has ended, after revoke " << i;
      break;
    }
  }
  stop = true;
  traffic.join();
  round_trip(*mr, 0, kBytes, 8);
}

TEST_F(DmaBufMr, ManyMrsOnOneBufferAreAllRevokedAndComeBack) {
  const auto buffer = export_range(0, kBytes);
  std::vector<Mr> mrs;
  for (std::size_t i = 0; i < 64; i++) {
    mrs.push_back(register_buffer(buffer, i * kPage, kPage, i * kPage));
    ASSERT_NE(mrs.back(), nullptr) << std::strerror(errno);
  }
  const auto invalidations = counter("invalidate");
  ASSERT_TRUE(device_.reset());
  EXPECT_GE(counter("invalidate"), invalidations + 64);
  for (std::size_t i = 0; i < 64; i++) {
    round_trip(*mrs[i], i * kPage, kPage, static_cast<std::uint8_t>(i));
  }
}

TEST_F(DmaBufMr, AnMrOutlivesItsDevice) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  ASSERT_TRUE(device_.close());
  fill(9);
  ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(), 0, mr->rkey), 0);
  EXPECT_FALSE(poll_one(loopback_, 200));
}

/// For a machine whose host bridge isn't known to forward peer to peer.
using NoPath = DmaBufMr;

TEST_F(NoPath, RegistrationSaysEINVAL) {
  const auto buffer = export_range(0, kBytes);
  errno = 0;
  EXPECT_EQ(register_buffer(buffer, 0, kBytes, 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

/// The exporter must never wait for an importer that is gone.
class NicGone : public DmaBufMr, public testing::WithParamInterface<const char*> {
 protected:
  static void write(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    ASSERT_TRUE(file.good()) << path;
  }

  static void take_away() {
    const std::string nic = lab("LAB_NIC0");
    if (std::string(GetParam()) == "unbind") {
      write("/sys/bus/pci/drivers/pnic/unbind", nic);
    } else {
      write("/sys/bus/pci/devices/" + nic + "/reset", "1");
    }
  }

  static void bring_back() {
    if (std::string(GetParam()) == "unbind") {
      write("/sys/bus/pci/drivers/pnic/bind", lab("LAB_NIC0"));
    }
  }
};

TEST_P(NicGone, TheExporterIsFreeToResetItsDevice) {
  const auto buffer = export_range(0, kBytes);
  const auto mr = register_buffer(buffer, 0, kBytes, 0);
  ASSERT_NE(mr, nullptr) << std::strerror(errno);
  for (int i = 0; i < 4; i++) {
    ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, first_half(), 0, mr->rkey), 0);
  }
  take_away();
  const auto begin = now_ms();
  EXPECT_TRUE(device_.reset());
  EXPECT_LT(now_ms() - begin, 5000);
  bring_back();
}

/// Invalidations meet a NIC that dies, and registrations both: nobody may wait for the other.
TEST_P(NicGone, WhileTheExporterResetsItsDeviceWithoutPause) {
  const auto buffer = export_range(0, kBytes);
  std::atomic<bool> stop{false};
  std::thread exporter([&] {
    while (!stop) {
      EXPECT_TRUE(device_.reset());
    }
  });
  std::thread client([&] {
    while (!stop) {
      const auto context = open_device(lab("LAB_NIC0"));
      const Pd pd(context ? ibv_alloc_pd(context->get()) : nullptr);
      for (int i = 0; pd && i < 20; i++) {
        const Mr mr(ibv_reg_dmabuf_mr(pd.get(), 0, kBytes, 0, buffer.fd(), kRemote));
        usleep(1000);
      }
    }
  });
  for (int i = 0; i < 20; i++) {
    take_away();
    bring_back();
    usleep(50000);
  }
  stop = true;
  client.join();
  exporter.join();
}

INSTANTIATE_TEST_SUITE_P(Pnic, NicGone, testing::Values("unbind", "reset"),
                         [](const auto& way) { return std::string(way.param); });

}  // namespace
