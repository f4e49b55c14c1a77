// SPDX-License-Identifier: BSD-2-Clause
//
// Every allocation and user copy fails once, in mainline's export and in the registration of an
// exported buffer on a NIC: the error is a clean one, nothing stays behind, and the next try works.
// Runs in a guest of the debug kernel, with the variables of /etc/lab.env.

#include <gtest/gtest.h>
#include <infiniband/verbs.h>
#include <peermr/bdf.hpp>
#include <peermr/dma_buf.hpp>
#include <peermr/vfio.hpp>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

#include "fault/fail_nth.hpp"
#include "harness/lab.hpp"
#include "pnic/verbs.hpp"

namespace {

using namespace pnic_test;
using guest_test::lab;
using guest_test::must;

constexpr std::size_t kBytes = 1 << 20;
constexpr int kRemote = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;

class Fault : public testing::Test {
 protected:
  fault::Injector injector_;
  peermr::vfio::Device device_ =
      must(peermr::vfio::Device::open(guest_test::lab_bdf("LAB_IVSHMEM")));
  peermr::BarIndex bar_ = guest_test::lab_bar("LAB_IVSHMEM_BAR");
  Context context_ = std::move(open_device(lab("LAB_NIC0")).value());
  Pd pd_{ibv_alloc_pd(context_.get())};

  peermr::Result<peermr::DmaBuf> export_buffer() {
    return device_.export_dma_buf(bar_, {.offset_bytes = 0, .length_bytes = kBytes});
  }

  Mr register_buffer(const peermr::DmaBuf& buffer) {
    return Mr(ibv_reg_dmabuf_mr(pd_.get(), 0, kBytes, 0, buffer.fd(), kRemote));
  }

  /// A sweep that hit something, ended, and saw no errors but those of a failed allocation or copy.
  static void expect_clean(const char* what, const fault::Report& report) {
    std::cout << what << ": " << report << '\n';
    EXPECT_TRUE(report.finished) << what;
    EXPECT_GT(report.injected, report.tolerated) << what;
    for (const auto& [error, count] : report.errors) {
      EXPECT_TRUE(error == ENOMEM || error == EFAULT) << what << ": errno " << error;
    }
  }
};

TEST_F(Fault, ExportFailsCleanly) {
  std::optional<peermr::DmaBuf> buffer;
  expect_clean("export", fault::sweep(
                             injector_,
                             [&] {
                               auto exported = export_buffer();
                               if (!exported) {
                                 return exported.error().code().value();
                               }
                               buffer.emplace(std::move(exported).value());
                               return 0;
                             },
                             [&] { buffer.reset(); }));
}

TEST_F(Fault, RegistrationFailsCleanly) {
  const peermr::DmaBuf buffer = must(export_buffer());
  Mr mr;
  expect_clean("register", fault::sweep(
                               injector_,
                               [&] {
                                 mr = register_buffer(buffer);
                                 return mr ? 0 : errno;
                               },
                               [&] { mr.reset(); }));
}

// What a fault undoes half-way must not be in the way of the next attempt, nor of the device's reset.
TEST_F(Fault, DeregistrationThatFailsCanBeRepeated) {
  const peermr::DmaBuf buffer = must(export_buffer());
  ibv_mr* mr = nullptr;
  auto again = [&] {
    mr = register_buffer(buffer).release();
    require(mr != nullptr, "register");
  };
  again();
  const fault::Report report =
      fault::sweep(injector_, [&] { return ibv_dereg_mr(mr); }, again);
  std::cout << "deregister: " << report << '\n';
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(ibv_dereg_mr(mr), 0);
  EXPECT_TRUE(device_.reset());
}

// The exporter's invalidate and the importer's fence cannot fail, whatever they allocate.
TEST_F(Fault, RevokeUnderARegistrationGoesThrough) {
  const peermr::DmaBuf buffer = must(export_buffer());
  const Mr mr = register_buffer(buffer);
  ASSERT_NE(mr, nullptr);
  const fault::Report report = fault::sweep(
      injector_,
      [&] {
        const auto revoked = device_.set_memory_enabled(false);
        return revoked ? 0 : revoked.error().code().value();
      },
      [&] { must(device_.set_memory_enabled(true)); });
  std::cout << "memory decode off: " << report << '\n';
  EXPECT_TRUE(report.finished);
}

}  // namespace
