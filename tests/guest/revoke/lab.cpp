// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/lab.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace revoke_test {
namespace {

// NVM Express base specification, 3.1.4.21: PMRCTL, bit 0 is EN.
constexpr std::size_t kPmrctl = 0xe04;
constexpr std::uint32_t kPmrctlEnable = 1;
constexpr std::uint64_t kRegisterBytes = 4096;

}  // namespace

std::string objects_left(const std::string& ib_device) {
  struct Close {
    void operator()(std::FILE* file) const { ::pclose(file); }
  };
  const std::string command = "rdma resource show " + ib_device;
  const std::unique_ptr<std::FILE, Close> pipe(::popen(command.c_str(), "r"));
  if (!pipe) give_up("cannot run " + command);
  std::string line;
  std::array<char, 256> part;
  while (std::fgets(part.data(), part.size(), pipe.get()) != nullptr) line += part.data();
  for (const char* object : {"pd", "cq", "qp", "mr", "ctx"}) {
    if (line.find(std::string(" ") + object + " 0 ") == std::string::npos) return line;
  }
  return {};
}

std::string wait_for_no_objects(const std::string& ib_device) {
  std::string left = objects_left(ib_device);
  for (int i = 0; i < 50 && !left.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    left = objects_left(ib_device);
  }
  return left;
}

std::mt19937 make_random() {
  const char* chosen = std::getenv("LAB_SEED");
  const auto seed = chosen != nullptr
                        ? static_cast<std::mt19937::result_type>(std::strtoul(chosen, nullptr, 0))
                        : std::random_device()();
  std::printf("LAB_SEED=%lu\n", static_cast<unsigned long>(seed));
  return std::mt19937(seed);
}

PmrOwner::PmrOwner()
    : device_(must(peermr::vfio::Device::open(lab_bdf("LAB_NVME")))),
      bar_(static_cast<std::uint8_t>(std::stoi(lab("LAB_PMR_BAR")))),
      registers_(must(device_.map_bar(peermr::BarIndex(0), {0, kRegisterBytes}))),
      mapping_(must(device_.map_bar(bar_, {0, kBytes}))) {
  enable_pmr();
}

const std::uint8_t* PmrOwner::memory() const {
  return reinterpret_cast<const std::uint8_t*>(mapping_.bytes().data());
}

peermr::DmaBuf PmrOwner::export_memory() const {
  return must(device_.export_dma_buf(bar_, {0, kBytes}));
}

void PmrOwner::unmap() {
  registers_ = {};
  mapping_ = {};
}

void PmrOwner::enable_pmr() {
  registers_.reg32(kPmrctl) = kPmrctlEnable;
}

bool PmrOwner::pmr_enabled() const {
  return (registers_.reg32(kPmrctl) & kPmrctlEnable) != 0;
}

}  // namespace revoke_test
