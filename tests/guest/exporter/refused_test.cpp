// SPDX-License-Identifier: BSD-2-Clause
//
// Where there is no peer-to-peer path, importers learn so from every way of mapping, and all else
// works.
#include "exporter/fixture.hpp"
#include "watch/importer.hpp"
#include "watch/support.hpp"

namespace exporter_test {
namespace {

constexpr std::uint64_t kBytes = 64 << 10;

class NoPath : public ExporterTest {
 protected:
  Fd make_two() const { return make({{0, kPage}, {8 * kPage, kPage}}); }

  const peermr::Bdf nic_ = watch_test::lab_bdf("LAB_NIC0");
};

TEST_F(NoPath, RegistrationSaysEXDEV) {
  const Nic nic;
  const Fd buffer = make(), two = make_two();
  EXPECT_EQ(nic.import(buffer.get(), kBytes), nullptr);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_EQ(nic.import(two.get(), 2 * kPage), nullptr);
  EXPECT_EQ(errno, EXDEV);
}

// Mainline's word for it, which is also its word for a bad request.
TEST_F(NoPath, RegistrationOfADelegatedBufferSaysEINVAL) {
  const Nic nic;
  const Fd buffer = make(PEERMR_EXPORT_DELEGATE);
  EXPECT_EQ(nic.import(buffer.get(), kBytes), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(NoPath, AttachedImportersAreToldWhenTheyMap) {
  watch_test::ImporterSession session;
  for (const Fd& buffer : {make(), make_two()}) {
    const auto id = session.attach(buffer.get(), nic_);
    ASSERT_TRUE(id) << errno;
    EXPECT_EQ(session.map(*id), EXDEV);
    const auto query = device_.query(buffer.get());
    EXPECT_EQ(query.mappings, 0u);
    EXPECT_EQ(query.mapped, 0u);
    ASSERT_EQ(device_.set_decode(false), 0);
    EXPECT_EQ(session.map(*id), ENODEV) << "revoked comes first";
    ASSERT_EQ(device_.set_decode(true), 0);
    EXPECT_EQ(session.map(*id), EXDEV);
    EXPECT_EQ(device_.revoke(buffer.get()), 0) << "nobody holds it up";
    EXPECT_EQ(session.query(*id).callbacks, 3u);
  }
}

TEST_F(NoPath, AWatchCountsAndItsProbeSaysEXDEVAtOnce) {
  const Fd buffer = make();
  const watch_test::Watch watch(buffer.get());
  const auto begin = watch_test::Clock::now();
  EXPECT_EQ(watch.probe(10'000), EXDEV);
  EXPECT_LT(watch_test::Clock::now() - begin, std::chrono::seconds(8));
  ASSERT_EQ(device_.set_decode(false), 0);
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(watch.take(), 2u);
}

TEST_F(NoPath, TheCpuNeedsNone) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_TRUE(try_write(mapping.word(), 0x12345678));
  EXPECT_EQ(try_read(mapping.word()), 0x12345678u);
}

}  // namespace
}  // namespace exporter_test
