// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest_memory.hpp"
#include "vfio_client.hpp"

namespace peermr::test {

inline constexpr std::chrono::seconds kPatience{15};

/// Calls `condition` until it is true; false after a while.
template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = kPatience) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    __builtin_ia32_pause();
  }
  return true;
}

/// A driver of one pnic device, written from docs/nic-spec.md. It trusts the device as a test does:
/// what breaks a promise throws. Single-threaded.
class PnicClient {
 public:
  /// Connects, brings the device up with admin queues of 1 << admin_log entries, maps the
  /// doorbells.
  PnicClient(const std::string& socket, std::shared_ptr<GuestMemory> memory,
             uint32_t admin_log = 6);
  ~PnicClient();
  PnicClient(const PnicClient&) = delete;
  PnicClient& operator=(const PnicClient&) = delete;

  /// The steps of bring-up, for tests that want to go wrong between them.
  struct NotEnabled {};
  PnicClient(const std::string& socket, std::shared_ptr<GuestMemory> memory, NotEnabled);
  void enable(uint32_t admin_log);

  uint32_t reg(uint32_t offset) { return static_cast<uint32_t>(vfio.read(kBar0, offset, 4)); }
  void set_reg(uint32_t offset, uint32_t value) { vfio.write(kBar0, offset, value, 4); }
  uint16_t config16(uint64_t offset) {
    return static_cast<uint16_t>(vfio.read(kConfig, offset, 2));
  }
  void set_config16(uint64_t offset, uint16_t value) { vfio.write(kConfig, offset, value, 2); }

  struct AdminResult {
    uint8_t status = 0;
    uint64_t result = 0;
    bool ok() const { return status == PNIC_CMD_OK; }
  };
  /// Submits a command; the header's id is filled in. finish() waits for its completion.
  uint16_t submit(pnic_cmd command);
  std::optional<AdminResult> poll_completion(uint16_t id);
  AdminResult finish(uint16_t id);
  AdminResult admin(const pnic_cmd& command) { return finish(submit(command)); }
  /// As admin(), for commands that have to succeed.
  uint64_t must(const pnic_cmd& command);

  static pnic_cmd command(pnic_opcode opcode) {
    pnic_cmd c{};
    c.hdr.opcode = static_cast<__u8>(opcode);
    return c;
  }
  AdminResult on_object(pnic_opcode opcode, uint32_t handle);
  uint64_t stat(pnic_stat counter);
  /// Builds a page list for memory that is contiguous on the bus, of 4 KiB pages.
  pnic_page_list list(uint64_t bus, uint64_t bytes);
  /// The same for any pages of that size.
  pnic_page_list list(const std::vector<uint64_t>& pages, uint64_t offset, uint8_t page_shift = 12);

  uint32_t alloc_pd() { return static_cast<uint32_t>(must(command(PNIC_CMD_ALLOC_PD))); }
  uint32_t create_mr(uint32_t pdn, uint64_t bus, uint64_t iova, uint64_t length, uint32_t access,
                     uint32_t flags = 0);
  pnic_cmd create_mr_command(uint32_t pdn, uint64_t bus, uint64_t iova, uint64_t length,
                             uint32_t access, uint32_t flags);
  AdminResult invalidate(uint32_t key, uint32_t flags = 0);
  AdminResult validate(uint32_t key, uint64_t bus, uint64_t length);

  /// A slot in the client's UAR. Doorbell stores with fence and kick, as the specification asks.
  uint32_t take_slot() { return next_slot_++; }
  uint32_t uar() const { return uar_; }
  volatile uint32_t* slot(uint32_t index) const;
  void ring_low(uint32_t slot, uint32_t value);
  void ring_high(uint32_t slot, uint32_t value);
  void ring_both(uint32_t slot, uint32_t low, uint32_t high);
  void kick_if_armed();

  /// Gives vector n an eventfd, and tells how often it has been raised since the last call.
  void use_eventfd(uint32_t vector);
  uint64_t interrupts(uint32_t vector);

  VfioClient vfio;
  std::shared_ptr<GuestMemory> memory;

 private:
  std::byte* bar2_ = nullptr;
  uint64_t asq_ = 0;
  uint64_t acq_ = 0;
  uint32_t admin_log_ = 0;
  uint32_t submitted_ = 0;
  uint32_t consumed_ = 0;
  std::vector<std::pair<uint16_t, AdminResult>> finished_;
  uint32_t uar_ = 0;
  uint32_t next_slot_ = 0;
  std::vector<UniqueFd> eventfds_;
};

}  // namespace peermr::test
