// SPDX-License-Identifier: BSD-2-Clause
//
// The device with the memory, opened for each test, and a NIC to import it with.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <infiniband/verbs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ostream>
#include <utility>
#include <vector>

#include "exporter/device.hpp"
#include "exporter/fault.hpp"
#include "pnic/verbs.hpp"

namespace exporter_test {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kHugePage = 2u << 20;
constexpr int kRemoteAccess =
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

/// A NIC and a protection domain, for importing buffers.
class Nic {
 public:
  explicit Nic(const char* variable = "LAB_NIC0")
      : context_(std::move(pnic_test::open_device(lab(variable)).value())),
        pd_(ibv_alloc_pd(context_.get())) {}

  ibv_context* context() const { return context_.get(); }
  ibv_pd* pd() const { return pd_.get(); }

  /// The MR, or nothing with errno set.
  pnic_test::Mr import(int dmabuf, std::uint64_t bytes, std::uint64_t offset = 0) const {
    return pnic_test::Mr(
        ibv_reg_dmabuf_mr(pd_.get(), offset, bytes, offset, dmabuf, kRemoteAccess));
  }

 private:
  pnic_test::Context context_;
  pnic_test::Pd pd_;
};

/// ivshmem: plain RAM behind a BAR.
class ExporterTest : public testing::Test {
 protected:
  const std::string bdf_ = lab("LAB_IVSHMEM");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number("LAB_IVSHMEM_BAR"));
  Device device_{bdf_};

  Fd make(const std::vector<Range>& ranges, std::uint32_t flags = 0, int open_flags = -1) const {
    return device_.export_buffer(bar_, ranges, flags, open_flags);
  }
  /// 64 KiB at the beginning.
  Fd make(std::uint32_t flags = 0, int open_flags = -1) const {
    return make({{0, 64 << 10}}, flags, open_flags);
  }
  std::uint32_t state(const Fd& buffer) const { return device_.query(buffer.get()).state; }
  std::uint64_t revokes(const Fd& buffer) const { return device_.query(buffer.get()).revokes; }
};

}  // namespace exporter_test
