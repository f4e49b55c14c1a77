// SPDX-License-Identifier: BSD-2-Clause
//
// An NVMe controller owned through VFIO, just enough of it to make it write where we like.
#pragma once

#include <cstdint>

#include "exporter/device.hpp"

namespace exporter_test {

class Nvme {
 public:
  /// Bytes that identify() writes.
  static constexpr std::uint64_t kIdentity = 4096;
  /// PCI vendor, the first two bytes of it, as QEMU has it.
  static constexpr std::uint32_t kVendor = 0x1b36;

  /// Enables the controller, with its queues at kQueues. The program ends when that does not work.
  explicit Nvme(const Device& device);
  ~Nvme();
  Nvme(const Nvme&) = delete;
  Nvme& operator=(const Nvme&) = delete;

  /// Makes the controller write its identity to an IOVA. The command's status, 0 for success; -1
  /// when there is no completion in time.
  int identify(std::uint64_t iova);

 private:
  static constexpr std::uint64_t kQueues = 0x10000000;
  static constexpr std::uint32_t kEntries = 16;

  volatile std::uint32_t* reg(std::uint64_t offset) const { return registers_.word(offset); }
  void wait_ready(bool ready) const;
  void set_queue(std::uint64_t offset, std::uint64_t iova) const;

  const Device& device_;
  Mapping registers_;
  Mapping queues_;
  std::uint32_t stride_ = 4;
  std::uint32_t tail_ = 0, head_ = 0, phase_ = 1;
};

}  // namespace exporter_test
