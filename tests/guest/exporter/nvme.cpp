// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/nvme.hpp"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "pnic/verbs.hpp"

namespace exporter_test {

using pnic_test::require;

namespace {

// NVM Express base specification, "Controller Properties".
constexpr std::uint64_t kCap = 0x00, kCc = 0x14, kCsts = 0x1c, kAqa = 0x24, kAsq = 0x28,
                        kAcq = 0x30, kDoorbells = 0x1000;
// 64-byte submission, 16-byte completion entries, enabled.
constexpr std::uint32_t kCcEnable = 4u << 20 | 6u << 16 | 1;
constexpr std::uint32_t kIdentify = 0x06, kIdentifyController = 1;
constexpr std::size_t kPageBytes = 4096;

}  // namespace

Nvme::Nvme(const Device& device)
    : device_(device),
      registers_(device.map_bar(0, 2 * kPageBytes)),
      queues_(-1, 2 * kPageBytes, 0, Mapping::kReadWrite, MAP_SHARED | MAP_ANONYMOUS) {
  require(registers_.ok() && queues_.ok(), "the controller's registers");
  require(device.map_dma(queues_.word(), kQueues, 2 * kPageBytes) == 0, "map the queues");
  std::uint16_t command = 0;
  require(device.read(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2) == 2, "command");
  command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
  require(device.write(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2) == 2, "command");

  stride_ = 4u << (*reg(kCap + 4) & 0xf);
  *reg(kCc) = 0;
  wait_ready(false);
  *reg(kAqa) = (kEntries - 1) << 16 | (kEntries - 1);
  set_queue(kAsq, kQueues);
  set_queue(kAcq, kQueues + kPageBytes);
  *reg(kCc) = kCcEnable;
  wait_ready(true);
}

Nvme::~Nvme() {
  *reg(kCc) = 0;
  device_.unmap_dma(kQueues, 2 * kPageBytes);
}

void Nvme::set_queue(std::uint64_t offset, std::uint64_t iova) const {
  *reg(offset) = static_cast<std::uint32_t>(iova);
  *reg(offset + 4) = static_cast<std::uint32_t>(iova >> 32);
}

void Nvme::wait_ready(bool ready) const {
  for (int tries = 0; tries < 5000; ++tries) {
    if ((*reg(kCsts) & 1) == ready) return;
    ::usleep(1000);
  }
  require(false, "the controller does not get ready");
}

int Nvme::identify(std::uint64_t iova) {
  volatile std::uint32_t* command = queues_.word(tail_ * 64);
  for (int i = 0; i < 16; ++i) command[i] = 0;
  command[0] = kIdentify;
  command[6] = static_cast<std::uint32_t>(iova);
  command[7] = static_cast<std::uint32_t>(iova >> 32);
  command[10] = kIdentifyController;
  tail_ = (tail_ + 1) % kEntries;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *reg(kDoorbells) = tail_;

  for (int tries = 0; tries < 5000; ++tries) {
    const std::uint32_t status = *queues_.word(kPageBytes + head_ * 16 + 12);
    if ((status >> 16 & 1) == phase_) {
      head_ = (head_ + 1) % kEntries;
      if (head_ == 0) phase_ ^= 1;
      *reg(kDoorbells + stride_) = head_;
      return static_cast<int>(status >> 17);
    }
    ::usleep(1000);
  }
  return -1;
}

}  // namespace exporter_test
