// SPDX-License-Identifier: BSD-2-Clause
//
// How big the pages of a mapping are and how they are cached, by the page-table entries and by the
// kernel's list of memory types.
#include <sys/mman.h>

#include <cstdio>
#include <fstream>

#include "exporter/entries.hpp"
#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

// Addresses for a mapping that begins at a huge page.
class Place {
 public:
  explicit Place(std::size_t bytes)
      : space_(-1, bytes + kHugePage, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS) {}
  void* at(std::size_t past = 0) const {
    const auto base = reinterpret_cast<std::uintptr_t>(space_.word());
    return reinterpret_cast<void*>((base + kHugePage - 1) / kHugePage * kHugePage + past);
  }

 private:
  Mapping space_;
};

std::uint64_t physical_address(const std::string& bdf, std::uint32_t bar) {
  std::ifstream resources("/sys/bus/pci/devices/" + bdf + "/resource");
  std::string line;
  for (std::uint32_t i = 0; i <= bar; ++i) std::getline(resources, line);
  return std::stoull(line, nullptr, 0);
}

// Memory types of all that the kernel has mapped within the BAR.
std::string memory_types(const std::string& bdf, std::uint32_t bar, std::uint64_t bytes) {
  const std::uint64_t first = physical_address(bdf, bar);
  std::ifstream list("/sys/kernel/debug/x86/pat_memtype_list");
  std::string types;
  for (std::string line; std::getline(list, line);) {
    unsigned long long begin = 0, end = 0;
    char type[32];
    if (std::sscanf(line.c_str(), "PAT: [mem %llx-%llx] %31s", &begin, &end, type) != 3) continue;
    if (begin < first + bytes && end > first && types.find(type) == std::string::npos)
      types += std::string(types.empty() ? "" : ", ") + type;
  }
  return types;
}

void expect_entries(const std::vector<HugeEntry>& entries, const Mapping& mapping,
                    std::uint64_t physical, std::size_t count, unsigned attribute) {
  ASSERT_EQ(entries.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_TRUE(entries[i].present());
    EXPECT_TRUE(entries[i].huge());
    EXPECT_EQ(entries[i].physical(), physical + i * kHugePage);
    EXPECT_EQ(entries[i].address & ~(kHugePage - 1),
              reinterpret_cast<std::uintptr_t>(mapping.word(i * kHugePage)));
    EXPECT_EQ(entries[i].attribute(), attribute);
  }
}

void touch(const Mapping& mapping, std::size_t step) {
  for (std::size_t byte = 0; byte < mapping.bytes(); byte += step)
    ASSERT_TRUE(try_read(mapping.word(byte)));
}

class Entries : public ExporterTest {
 protected:
  void SetUp() override {
    if (!HugeEntries::offered()) GTEST_SKIP() << "the kernel has no probes on functions' ends";
    ASSERT_TRUE(entries_.possible());
  }

  const std::uint64_t physical_ = physical_address(bdf_, bar_);
  const HugeEntries entries_;
};

TEST_F(Entries, AreHugeAndUncachedWhereAllIsAligned) {
  const Fd buffer = make({{0, 4 * kHugePage}});
  const Place place(4 * kHugePage);
  const Mapping mapping(buffer.get(), 4 * kHugePage, 0, Mapping::kReadWrite, MAP_SHARED,
                        place.at());
  touch(mapping, kPage);
  expect_entries(entries_.take(), mapping, physical_, 4, kAttributeUncachedMinus);
  EXPECT_EQ(device_.query(buffer.get()).faults, 4u);
  EXPECT_EQ(memory_types(bdf_, bar_, 4 * kHugePage), "uncached-minus");

  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_FALSE(try_read(mapping.word(3 * kHugePage + kPage)));
  EXPECT_TRUE(entries_.take().empty()) << "none is made while revoked";
  ASSERT_EQ(device_.set_decode(true), 0);
  touch(mapping, kHugePage);
  expect_entries(entries_.take(), mapping, physical_, 4, kAttributeUncachedMinus);
}

TEST_F(Entries, OfWritesAreHugeToo) {
  const Fd buffer = make({{2 * kHugePage, kHugePage}});
  const Place place(kHugePage);
  const Mapping mapping(buffer.get(), kHugePage, 0, Mapping::kReadWrite, MAP_SHARED, place.at());
  ASSERT_TRUE(try_write(mapping.word(kHugePage - 4), 1));
  const auto entries = entries_.take();
  expect_entries(entries, mapping, physical_ + 2 * kHugePage, 1, kAttributeUncachedMinus);
  EXPECT_TRUE(entries.at(0).value & 2) << "writable";
}

TEST_F(Entries, OfASecondAlignedRangeAreHugeAtTheSecondRangesPlace) {
  const Fd buffer = make({{0, kHugePage}, {6 * kHugePage, kHugePage}});
  const Place place(2 * kHugePage);
  const Mapping mapping(buffer.get(), 2 * kHugePage, 0, Mapping::kReadWrite, MAP_SHARED,
                        place.at());
  touch(mapping, kHugePage);
  const auto entries = entries_.take();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].physical(), physical_);
  EXPECT_EQ(entries[1].physical(), physical_ + 6 * kHugePage);
}

TEST_F(Entries, AreSmallWhereAddressRangeOrMappingDoNotAllowHugeOnes) {
  const auto huge_entries = [&](const std::vector<Range>& ranges, std::size_t bytes, off_t offset,
                                std::size_t past) {
    const Fd buffer = make(ranges);
    const Place place(bytes + kHugePage);
    const Mapping mapping(buffer.get(), bytes, offset, Mapping::kReadWrite, MAP_SHARED,
                          place.at(past));
    EXPECT_TRUE(mapping.ok());
    touch(mapping, kHugePage / 4);
    return entries_.take().size();
  };
  EXPECT_EQ(huge_entries({{0, 2 * kHugePage}}, 2 * kHugePage, 0, 0), 2u);
  EXPECT_EQ(huge_entries({{0, 2 * kHugePage}}, 2 * kHugePage, 0, kPage), 0u) << "address";
  EXPECT_EQ(huge_entries({{kPage, 2 * kHugePage}}, 2 * kHugePage, 0, 0), 0u) << "BAR offset";
  EXPECT_EQ(huge_entries({{0, 2 * kHugePage}}, kHugePage, kPage, 0), 0u) << "mapping's offset";
  EXPECT_EQ(huge_entries({{0, 2 * kHugePage}}, kHugePage - kPage, 0, 0), 0u) << "mapping's end";
  EXPECT_EQ(huge_entries({{0, kHugePage / 2}, {kHugePage, kHugePage / 2}}, kHugePage, 0, 0), 0u)
      << "two ranges within one";
  EXPECT_EQ(huge_entries({{kPage, 2 * kHugePage}}, 2 * kHugePage - kPage, 0, kPage), 1u)
      << "BAR offset and address agree; the last ends too early";
}

TEST_F(Entries, AMovedHugeMappingIsRevokedWhereItIs) {
  const Fd buffer = make({{0, kHugePage}});
  const Place from(kHugePage), to(kHugePage);
  Mapping mapping(buffer.get(), kHugePage, 0, Mapping::kReadWrite, MAP_SHARED, from.at());
  touch(mapping, kHugePage);
  ASSERT_EQ(entries_.take().size(), 1u);
  void* moved = ::mremap(from.at(), kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, to.at());
  ASSERT_EQ(moved, to.at());
  const auto* word = static_cast<volatile std::uint32_t*>(moved);
  EXPECT_TRUE(try_read(word + 5 * kPage / 4));
  ASSERT_EQ(::munmap(static_cast<char*>(moved) + kPage, kPage), 0);
  EXPECT_TRUE(try_read(word)) << "split, and still there";
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_FALSE(try_read(word));
  EXPECT_FALSE(try_read(word + 5 * kPage / 4));
}

// Write-combining: chosen before the device is opened.
class Combining : public testing::Test {
 protected:
  static void choose(const std::string& bdf, const std::string& mask) {
    ASSERT_EQ(store(bdf, mask), 0);
  }
  static int store(const std::string& bdf, const std::string& mask) {
    const std::string path = "/sys/bus/pci/devices/" + bdf + "/peermr_wc_bars";
    const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return ::write(file.get(), mask.data(), mask.size()) < 0 ? errno : 0;
  }
  ~Combining() override { store(bdf_, "0"); }

  const std::string bdf_ = lab("LAB_IVSHMEM");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number("LAB_IVSHMEM_BAR"));
  const std::string mask_ = std::to_string(1u << bar_);
};

TEST_F(Combining, IsOfTheWholeBarAndEveryMappingOfIt) {
  choose(bdf_, mask_);
  Device device(bdf_);
  EXPECT_EQ(device.info().combining_bars, 1u << bar_);
  EXPECT_TRUE(device.info().flags & PEERMR_EXPORT_WRITE_COMBINE);
  EXPECT_EQ(store(bdf_, "0"), EBUSY) << "it is open";
  const Fd buffer = device.export_buffer(bar_, {{0, 2 * kHugePage}}, PEERMR_EXPORT_WRITE_COMBINE);
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  EXPECT_EQ(device.query(buffer.get()).cache,
            static_cast<std::uint8_t>(PEERMR_EXPORT_COMBINING));

  const HugeEntries entries;
  ASSERT_EQ(entries.possible(), HugeEntries::offered());
  const Place place(2 * kHugePage), other_place(2 * kHugePage);
  const Mapping mapping(buffer.get(), 2 * kHugePage, 0, Mapping::kReadWrite, MAP_SHARED,
                        place.at());
  ASSERT_TRUE(mapping.ok()) << mapping.error();
  touch(mapping, kHugePage);
  const std::uint64_t physical = physical_address(bdf_, bar_);
  if (entries.possible())
    expect_entries(entries.take(), mapping, physical, 2, kAttributeCombining);
  EXPECT_EQ(memory_types(bdf_, bar_, device.region_bytes(bar_)), "write-combining");

  const Mapping through_vfio(device.fd(), 2 * kHugePage,
                             static_cast<off_t>(device.region_offset(bar_)), Mapping::kReadWrite,
                             MAP_SHARED, other_place.at());
  touch(through_vfio, kHugePage);
  if (entries.possible())
    expect_entries(entries.take(), through_vfio, physical, 2, kAttributeCombining);
  ASSERT_TRUE(try_write(mapping.word(64), 0xc0ffee));
  EXPECT_EQ(try_read(through_vfio.word(64)), 0xc0ffeeu);

  ASSERT_EQ(device.set_decode(false), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  ASSERT_EQ(device.set_decode(true), 0);
  EXPECT_EQ(try_read(mapping.word(64)), 0xc0ffeeu);
}

TEST_F(Combining, IsNotPretendedToBeUncached) {
  choose(bdf_, mask_);
  Device device(bdf_);
  const Fd plain = device.export_buffer(bar_, {{0, kPage}});
  ASSERT_TRUE(plain.ok()) << "importers do not care";
  EXPECT_EQ(Mapping(plain.get(), kPage).error(), EOPNOTSUPP);
}

TEST_F(Combining, EndsWithTheNextOpen) {
  choose(bdf_, mask_);
  { Device device(bdf_); }
  choose(bdf_, "0");
  Device device(bdf_);
  EXPECT_EQ(device.info().combining_bars, 0u);
  EXPECT_EQ(device.export_buffer(bar_, {{0, kPage}}, PEERMR_EXPORT_WRITE_COMBINE).error(),
            EOPNOTSUPP);
  const Fd buffer = device.export_buffer(bar_, {{0, kPage}});
  const Mapping mapping(buffer.get(), kPage);
  EXPECT_TRUE(try_read(mapping.word()));
  EXPECT_EQ(memory_types(bdf_, bar_, device.region_bytes(bar_)), "uncached-minus");
}

TEST_F(Combining, IsForPrefetchableMemoryOnly) {
  EXPECT_EQ(store(bdf_, "1"), EINVAL) << "registers";
  EXPECT_EQ(store(bdf_, "0x20"), EINVAL) << "no such BAR";
  EXPECT_EQ(store(bdf_, "0x40"), EINVAL);
  EXPECT_EQ(store(bdf_, "all"), EINVAL);
}

}  // namespace
}  // namespace exporter_test
