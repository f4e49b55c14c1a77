// SPDX-License-Identifier: BSD-2-Clause
//
// Regions that cannot be made: each error has a code of its own, and names the objects.

#include <infiniband/verbs.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "revoke/fixture.hpp"

namespace {

using namespace revoke_test;
using peermr::Errc;

/// Fails unless `result` is this error and its message has all of `parts`.
template <typename T>
void expect_error(const peermr::Result<T>& result, std::error_code code,
                  std::initializer_list<std::string> parts) {
  ASSERT_FALSE(result);
  const std::string message = result.error().message();
  EXPECT_EQ(result.error().code(), code) << message;
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' is not in: " << message;
  }
}

peermr::DmaBuf adopt(const peermr::DmaBuf& buffer) {
  return must(peermr::DmaBuf::adopt(peermr::UniqueFd(::dup(buffer.fd())), "somebody's buffer"));
}

class NoRegion : public RevokeTest {
 protected:
  peermr::Result<peermr::Region> make(const peermr::DmaBuf& buffer,
                                      const peermr::RegionOptions& options = {}) {
    return peermr::Region::create(responder_.pd(), buffer, options);
  }
};

TEST_F(NoRegion, WhileMemoryDecodeIsOffAndAgainAfterwards) {
  must(owner_.device().set_memory_enabled(false));
  expect_error(make(buffer_), Errc::kRevoked,
               {lab("LAB_NVME") + " BAR 4", responder_.name(), "memory decode"});
  must(owner_.device().set_memory_enabled(true));
  auto made = make(buffer_);
  ASSERT_TRUE(made) << made.error().message();
  verified_write(*made, 1);
}

TEST_F(NoRegion, OfARevokedBufferThatCameFromElsewhere) {
  const auto adopted = adopt(buffer_);
  must(owner_.device().set_memory_enabled(false));
  expect_error(make(adopted), Errc::kRevoked, {"somebody's buffer", responder_.name()});
  must(owner_.device().set_memory_enabled(true));
  EXPECT_TRUE(make(adopted));
}

TEST_F(NoRegion, OfADeviceThatIsClosed) {
  must(owner_.device().close());
  expect_error(make(buffer_), Errc::kDead, {lab("LAB_NVME")});
}

TEST_F(NoRegion, ThatIsNotWithinTheBuffer) {
  peermr::RegionOptions options;
  options.offset_bytes = 4096;
  options.length_bytes = PmrOwner::kBytes;
  expect_error(make(buffer_, options), std::make_error_code(std::errc::invalid_argument),
               {"not within the buffer"});
}

TEST_F(NoRegion, WithFreshKeysThatAFaultableImporterCannotPromise) {
  peermr::RegionOptions options;
  options.keys = peermr::KeyPolicy::kFresh;
  expect_error(make(buffer_, options), std::make_error_code(std::errc::not_supported),
               {responder_.name(), "fresh keys"});
}

/// Stock soft RoCE, which the test's script has made of a network device.
class SoftRoce : public NoRegion {};

TEST_F(SoftRoce, DoesNotImportDmaBufs) {
  auto context = peermr::verbs::Context::open("rxe0");
  ASSERT_TRUE(context) << context.error().message();
  EXPECT_EQ(context->importer(), peermr::verbs::ImporterClass::kNone);
  const std::unique_ptr<ibv_pd, Destroyer<ibv_dealloc_pd>> pd(ibv_alloc_pd(context->get()));
  ASSERT_NE(pd, nullptr);
  expect_error(peermr::Region::create(pd.get(), buffer_, {}), Errc::kImporterNoDmaBuf,
               {lab("LAB_NVME") + " BAR 4", "rxe0", "rxe"});
}

/// Topology "refused": no path between the NIC and the NVMe controller.
class RefusedPath : public testing::Test {
 protected:
  PmrOwner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
  End end_{"LAB_NIC1"};
};

TEST_F(RefusedPath, IsToldWithItsReasonAndBothDevices) {
  expect_error(peermr::Region::create(end_.pd(), buffer_, {}), Errc::kPathNotSupported,
               {lab("LAB_NVME"), lab("LAB_NIC1"), "host bridge"});
}

TEST_F(RefusedPath, DoesNotHideThatTheMemoryIsRevoked) {
  must(owner_.device().set_memory_enabled(false));
  expect_error(peermr::Region::create(end_.pd(), buffer_, {}), Errc::kRevoked, {lab("LAB_NVME")});
  must(owner_.device().set_memory_enabled(true));
  expect_error(peermr::Region::create(end_.pd(), buffer_, {}), Errc::kPathNotSupported, {});
}

TEST_F(RefusedPath, OfABufferFromElsewhereIsTheKernelsInvalidArgument) {
  // Nobody can say which device such a buffer belongs to.
  expect_error(peermr::Region::create(end_.pd(), adopt(buffer_), {}),
               std::make_error_code(std::errc::invalid_argument), {"somebody's buffer"});
}

TEST_F(RefusedPath, LeavesTheDeviceFreeToReset) {
  ASSERT_FALSE(peermr::Region::create(end_.pd(), buffer_, {}));
  const auto report = owner_.device().reset();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->restored, 0U);
}

}  // namespace
