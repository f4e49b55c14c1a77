// SPDX-License-Identifier: BSD-2-Clause
#include "vend/slice_memory.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <vector>

#include "peermr/peermr_export.h"
#include "peermr/vend.hpp"
#include "vfio/backend.hpp"
#include "vfio/device_impl.hpp"

namespace peermr::vend {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using vfio::ExportCall;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kBarBytes = 16 * kPage;

/// A device whose BAR is a memfd. Outlives its backend.
struct FakeBar {
  FakeBar() : memory(::memfd_create("bar", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(memory.get(), kBarBytes), 0);
    const std::vector<std::uint8_t> old(kBarBytes, 0x5a);
    EXPECT_EQ(::pwrite(memory.get(), old.data(), old.size(), 0), static_cast<ssize_t>(old.size()));
  }
  [[nodiscard]] std::uint8_t byte(std::uint64_t offset) const {
    std::uint8_t value = 0;
    EXPECT_EQ(::pread(memory.get(), &value, 1, static_cast<off_t>(offset)), 1);
    return value;
  }

  UniqueFd memory;
  bool peermr = true;
  peermr_export_info info{};
  std::function<void(peermr_export_info&)> on_info = [](peermr_export_info&) {};
  peermr_export_query query{};
  std::deque<int> revoke_errors;  // one a call, then success
  int revokes = 0;
  peermr_export_create created{};
  peermr_export_range range{};
};

class BarBackend final : public vfio::Backend {
 public:
  explicit BarBackend(FakeBar& bar) : bar_(bar) {}

  [[nodiscard]] int fd() const noexcept override { return open_ ? bar_.memory.get() : -1; }
  Result<void> close() override {
    open_ = false;
    return {};
  }
  [[nodiscard]] Result<vfio::BarRegion> region(BarIndex bar) const override {
    if (bar != BarIndex(2)) return vfio::BarRegion{};
    return vfio::BarRegion{
        .info = {.size_bytes = kBarBytes, .readable = true, .writable = true, .mappable = true}};
  }
  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t) const override {
    return std::uint16_t{0};
  }
  Result<void> write_config16(std::uint16_t, std::uint16_t) const override { return {}; }
  [[nodiscard]] Result<UniqueFd> event_fd(vfio::DeviceEvent) const override {
    return make_error(std::errc::not_supported, "watch", "it");
  }
  [[nodiscard]] Result<bool> memory_enabled() const override { return true; }
  Result<void> write_memory_enabled(bool) const override { return {}; }
  [[nodiscard]] bool can_reset() const noexcept override { return true; }
  Result<void> reset_function() const override {
    ++bar_.info.revokes;
    return {};
  }
  [[nodiscard]] vfio::ExporterKind own_kind() const noexcept override {
    return vfio::ExporterKind::kPeermrVfio;
  }
  [[nodiscard]] bool has(ExportCall call) const override {
    return bar_.peermr || call == ExportCall::kMainline;
  }

  int call(ExportCall call, void* argument, std::size_t) const override {
    switch (call) {
      case ExportCall::kExport:
        std::memcpy(&bar_.created, argument, sizeof(bar_.created));
        bar_.range = *reinterpret_cast<const peermr_export_range*>(bar_.created.ranges);
        return ::open("/dev/null", O_RDWR | O_CLOEXEC);
      case ExportCall::kInfo:
        bar_.on_info(bar_.info);
        std::memcpy(argument, &bar_.info, sizeof(bar_.info));
        return 0;
      case ExportCall::kQuery:
        std::memcpy(argument, &bar_.query, sizeof(bar_.query));
        return 0;
      case ExportCall::kRevoke: {
        ++bar_.revokes;
        if (bar_.revoke_errors.empty()) return 0;
        const int error_number = bar_.revoke_errors.front();
        bar_.revoke_errors.pop_front();
        return -error_number;
      }
      default:
        return -ENOTTY;
    }
  }

 private:
  FakeBar& bar_;
  bool open_ = true;
};

class DeviceSlices : public testing::Test {
 protected:
  vfio::Device open() {
    PciDevice pci;
    pci.bdf = Bdf(0, 4, 0, 0);
    pci.driver = "vfio-pci";
    pci.iommu_group = 7;
    pci.bars.push_back({.index = BarIndex(2),
                        .start = 0xf0000000,
                        .size_bytes = kBarBytes,
                        .memory = true,
                        .prefetchable = true,
                        .is_64bit = true});
    return vfio::Device(
        std::make_unique<vfio::Device::Impl>(pci, std::make_unique<BarBackend>(bar_)));
  }
  static DeviceMemory::Layout two_pages_each(const vfio::Device& device) {
    return DeviceMemory::layout(device, BarIndex(2), {.offset_bytes = kPage}, 2 * kPage).value();
  }

  FakeBar bar_;
};

TEST_F(DeviceSlices, AreCutFromTheRangeAndTheRestIsLeft) {
  auto device = open();
  const auto layout = two_pages_each(device);
  EXPECT_EQ(layout.slices, 7u) << "15 pages";
  DeviceMemory memory(device, layout, false);
  EXPECT_EQ(memory.name(), "0000:04:00.0 BAR 2");
  ASSERT_TRUE(memory.lend(3));
  EXPECT_EQ(bar_.range.offset, 7 * kPage);
  EXPECT_EQ(bar_.range.length, 2 * kPage);
}

TEST_F(DeviceSlices, CannotBeMappedUnlessAskedFor) {
  auto device = open();
  const auto layout = two_pages_each(device);
  ASSERT_TRUE(DeviceMemory(device, layout, false).lend(0));
  EXPECT_EQ(bar_.created.flags, PEERMR_EXPORT_NO_MMAP);
  ASSERT_TRUE(DeviceMemory(device, layout, true).lend(0));
  EXPECT_EQ(bar_.created.flags, 0u);
}

TEST_F(DeviceSlices, OfNonsenseAreRefusedWithWhatIsWrong) {
  const auto device = open();
  const auto why = [&](unsigned bar, vfio::BarRange range, std::uint64_t bytes) {
    const auto layout =
        DeviceMemory::layout(device, BarIndex(static_cast<std::uint8_t>(bar)), range, bytes);
    return layout ? "" : layout.error().message();
  };
  EXPECT_EQ(why(2, {0, kBarBytes}, kBarBytes), "");
  EXPECT_THAT(why(2, {0, kBarBytes + kPage}, kPage), HasSubstr("past the BAR"));
  EXPECT_THAT(why(2, {kBarBytes, 0}, kPage), HasSubstr("past the BAR"));
  EXPECT_THAT(why(2, {kPage, ~std::uint64_t{0}}, kPage), HasSubstr("past the BAR"));
  EXPECT_THAT(why(2, {1, kPage}, kPage), HasSubstr("not page-aligned"));
  EXPECT_THAT(why(2, {0, kBarBytes}, 0), HasSubstr("whole pages"));
  EXPECT_THAT(why(2, {0, kBarBytes}, kPage + 1), HasSubstr("whole pages"));
  EXPECT_THAT(why(2, {0, kPage}, 2 * kPage), HasSubstr("smaller than a slice"));
  EXPECT_THAT(why(3, {0, kPage}, kPage), HasSubstr("no such BAR"));
  EXPECT_THAT(why(6, {0, kPage}, kPage), HasSubstr("0 to 5"));
}

TEST_F(DeviceSlices, NeedAnExporterThatRevokesForGood) {
  EXPECT_TRUE(DeviceMemory::check_exporter(open()));
  bar_.peermr = false;
  auto device = open();
  const auto refused = Vendor::create(
      device, {.bar = BarIndex(2), .range = {}, .slice_bytes = kPage, .socket = "/nonexistent/s"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kNotOffered);
  EXPECT_THAT(refused.error().message(),
              AllOf(HasSubstr("vend 0000:04:00.0"), HasSubstr("taken back for good"),
                    HasSubstr("modprobe peermr_vfio")));
}

TEST_F(DeviceSlices, AreTakenBackOnlyWhenTheExporterSaysSo) {
  auto device = open();
  DeviceMemory memory(device, two_pages_each(device), false);
  const auto buffer = memory.lend(0).value();
  bar_.query.state = PEERMR_EXPORT_DEAD;
  EXPECT_TRUE(memory.take_back(buffer));
  bar_.query.mappings = 1;
  const auto mapped = memory.take_back(buffer);
  ASSERT_FALSE(mapped);
  EXPECT_THAT(mapped.error().message(), HasSubstr("dead and mapped 1 times"));
  bar_.query.mappings = 0;
  bar_.query.state = PEERMR_EXPORT_LIVE;
  EXPECT_FALSE(memory.take_back(buffer));
}

TEST_F(DeviceSlices, AreWaitedForThoughSignalsCome) {
  auto device = open();
  DeviceMemory memory(device, two_pages_each(device), false);
  const auto buffer = memory.lend(0).value();
  bar_.query.state = PEERMR_EXPORT_DEAD;
  bar_.revoke_errors = {EINTR, EINTR, EBADFD};
  EXPECT_TRUE(memory.take_back(buffer));
  EXPECT_EQ(bar_.revokes, 3);
  bar_.revoke_errors = {EINVAL};
  EXPECT_FALSE(memory.take_back(buffer));
}

TEST_F(DeviceSlices, AreClearedAndNothingElseIs) {
  auto device = open();
  bar_.info.revokes = 9;
  DeviceMemory memory(device, two_pages_each(device), false);
  EXPECT_EQ(memory.clear(1).value(), 9u);
  for (std::uint64_t offset = 0; offset < kBarBytes; ++offset) {
    const bool inside = offset >= 3 * kPage && offset < 5 * kPage;
    ASSERT_EQ(bar_.byte(offset), inside ? 0 : 0x5a) << offset;
  }
}

TEST_F(DeviceSlices, AreClearedAgainWhenARevokeCameBetween) {
  auto device = open();
  DeviceMemory memory(device, two_pages_each(device), false);
  int asked = 0;
  bar_.on_info = [&](peermr_export_info& info) {
    if (++asked == 2) ++info.revokes;
  };
  EXPECT_EQ(memory.clear(0).value(), 1u);
  EXPECT_EQ(asked, 4);
  bar_.on_info = [](peermr_export_info& info) { ++info.revokes; };
  const auto never = memory.clear(0);
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code(), Errc::kRevoked);
}

TEST_F(DeviceSlices, CannotBeClearedWhileMemoryIsAway) {
  auto device = open();
  DeviceMemory memory(device, two_pages_each(device), false);
  bar_.info.why = PEERMR_WHY_MEMORY;
  EXPECT_EQ(memory.clear(0).error().code(), Errc::kRevoked);
  bar_.info.why = 0;
  // A fault that SIGBUS would answer, if it were a load or store of ours.
  ASSERT_EQ(::ftruncate(bar_.memory.get(), 0), 0);
  EXPECT_EQ(memory.clear(0).error().code(), Errc::kRevoked);
}

TEST_F(DeviceSlices, HaveANewGenerationAfterAReset) {
  auto device = open();
  DeviceMemory memory(device, two_pages_each(device), false);
  const auto before = memory.generation().value();
  ASSERT_TRUE(memory.reset());
  EXPECT_EQ(memory.generation().value(), before + 1);
}

}  // namespace
}  // namespace peermr::vend
