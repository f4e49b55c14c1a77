// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "admin_queue.hpp"
#include "client.hpp"
#include "kick_page.hpp"
#include "memory.hpp"

namespace peermr::native {

/// Whom a device tells of its events. Called on the device's thread with its lock held.
class DeviceEvents {
 public:
  virtual ~DeviceEvents() = default;
  /// False when the object is not one of this listener's.
  virtual bool on_event(const pnic_eqe& event) = 0;
  virtual void on_fatal() = 0;
};

/// What kernel/pnic is in a guest, as far as a process needs it: owns the connection to one NIC of
/// pnicd, its admin queue, event queue and doorbell pages.
///
/// A NIC has one connection, so one process at a time has the device; its contexts share this
/// object.
class Device {
 public:
  /// The process's object for pnic`index`, connected to <dir>/pnic<index>.sock on first use. EBUSY
  /// when another process has it, ENODEV when pnicd does not answer.
  static int open(const std::string& dir, int index, std::shared_ptr<Device>& out);
  /// Gives a reference back; the last one disconnects.
  static void close(std::shared_ptr<Device>& device);

  /// For a forked child: the devices are the parent's.
  static void forget_all();

  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// Protects everything below, the objects of all contexts, and the order of commands.
  std::mutex& lock() noexcept { return lock_; }

  AdminQueue& admin() noexcept { return admin_; }
  Memory& memory() noexcept { return memory_; }
  const pnic_device_attr& attr() const noexcept { return attr_; }
  uint64_t features() const noexcept { return features_; }
  uint32_t eqn() const noexcept { return eqn_; }
  bool is_fatal() const noexcept { return fatal_; }

  void add_listener(DeviceEvents& listener) { listeners_.insert(&listener); }
  void remove_listener(DeviceEvents& listener) { listeners_.erase(&listener); }
  const std::set<DeviceEvents*>& listeners() const noexcept { return listeners_; }

  /// Maps a page of the doorbell BAR, or a kick page; MAP_FAILED with errno. Needs no lock.
  void* map_doorbell_page(uint32_t page, int prot);
  void* map_kick_page(int prot) { return kick_pages_.map(prot); }

  /// What objects begin with: their slot must be zero before the device looks at it.
  void zero_slot(uint32_t uar, uint32_t slot);

 private:
  explicit Device(std::unique_ptr<Client> client);
  static int connect(const std::string& path, std::shared_ptr<Device>& out);
  int start();
  int enable_pci();
  int create_event_queue();
  void run();
  void handle_interrupt();
  void arm();
  void kick();
  void declare_fatal();
  volatile uint64_t* slot(uint32_t uar, uint32_t index);

  UniqueFd lock_file_;  // held while the device is ours
  std::unique_ptr<Client> client_;
  Memory memory_;
  AdminQueue admin_;
  KickPages kick_pages_;
  UniqueFd doorbell_fd_;
  uint64_t doorbell_bytes_ = 0;
  std::byte* doorbells_ = nullptr;
  UniqueFd admin_event_;
  UniqueFd queue_event_;
  UniqueFd stop_event_;
  pnic_device_attr attr_{};
  uint64_t features_ = 0;

  std::mutex lock_;
  std::set<DeviceEvents*> listeners_;
  std::unique_ptr<DriverBuffer> eq_ring_;
  uint32_t eqn_ = 0;
  uint32_t eq_uar_ = 0;
  uint32_t eq_ci_ = 0;
  uint32_t arm_seq_ = 0;
  bool fatal_ = false;
  std::thread thread_;
};

}  // namespace peermr::native
