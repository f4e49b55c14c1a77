// SPDX-License-Identifier: BSD-2-Clause
#include "bench/slices.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

namespace peermr::tool {

std::vector<vfio::BarRange> share_out(vfio::BarRange range, std::uint32_t count) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t pages = std::max<std::uint64_t>(range.length_bytes / page, 1);
  const std::uint64_t each = std::max<std::uint64_t>(pages / count, 1);
  std::vector<vfio::BarRange> slices;
  for (std::uint64_t i = 0; i < count; ++i) {
    slices.push_back({range.offset_bytes + i * each % pages * page, each * page});
  }
  return slices;
}

std::uint64_t slice_address(std::size_t index) noexcept {
  return (static_cast<std::uint64_t>(index) + 1) << 40;
}

Result<void> verify_slices(const vfio::Device& device, BarIndex bar, vfio::BarRange range,
                           const std::vector<vfio::BarRange>& slices,
                           const WriteVerifier& verifier) {
  auto mapping = device.map_bar(bar, range);
  if (!mapping) return std::move(mapping).error();
  const std::uint64_t each = slices.front().length_bytes;
  const std::size_t distinct =
      std::min<std::size_t>(slices.size(), std::max<std::uint64_t>(range.length_bytes / each, 1));
  for (std::size_t ago = 0; ago < distinct; ++ago) {
    const vfio::BarRange& slice = slices[slices.size() - 1 - ago];
    auto* base = mapping->bytes().data() + (slice.offset_bytes - range.offset_bytes);
    const Words words(reinterpret_cast<std::uint64_t*>(base),
                      slice.length_bytes / sizeof(std::uint64_t));
    if (!verifier.found_in(words, ago)) {
      return make_error(std::errc::io_error, "verify a write to",
                        fmt::format("{} BAR {} at {:#x}", device.bdf().to_string(), bar.value(),
                                    slice.offset_bytes),
                        "the memory does not hold what was written after the restore");
    }
  }
  return {};
}

}  // namespace peermr::tool
