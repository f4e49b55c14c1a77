// SPDX-License-Identifier: BSD-2-Clause
#include "sigbus_guard.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace peermr::nic {

namespace {

struct Slot {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<size_t> length{0};
  std::atomic<bool> writable{false};
  std::atomic<bool> poisoned{false};
};

constexpr size_t kSlots = 1024;
std::array<Slot, kSlots> slots;
std::atomic<unsigned> poison_events{0};

// Everything here is async-signal-safe: atomics and mmap(2).
void on_sigbus(int, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin ||
        address - begin >= slot.length.load(std::memory_order_relaxed))
      continue;
    const int protection =
        PROT_READ | (slot.writable.load(std::memory_order_relaxed) ? PROT_WRITE : 0);
    void* replaced =
        ::mmap(reinterpret_cast<void*>(begin), slot.length.load(std::memory_order_relaxed),
               protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (replaced == MAP_FAILED) break;
    slot.poisoned.store(true, std::memory_order_release);
    poison_events.fetch_add(1, std::memory_order_release);
    errno = saved_errno;
    return;
  }
  // Not ours: let it happen again, with the default action.
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

void SigbusGuard::install() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

int SigbusGuard::watch(void* address, size_t length, bool writable) noexcept {
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    if (slot.begin.load(std::memory_order_relaxed) != 0) continue;
    slot.length.store(length, std::memory_order_relaxed);
    slot.writable.store(writable, std::memory_order_relaxed);
    slot.poisoned.store(false, std::memory_order_relaxed);
    slot.begin.store(reinterpret_cast<uintptr_t>(address), std::memory_order_release);
    return static_cast<int>(i);
  }
  return -1;
}

void SigbusGuard::unwatch(int slot) noexcept {
  if (slot >= 0) slots[static_cast<size_t>(slot)].begin.store(0, std::memory_order_release);
}

bool SigbusGuard::poisoned(int slot) noexcept {
  return slot >= 0 && slots[static_cast<size_t>(slot)].poisoned.load(std::memory_order_acquire);
}

unsigned SigbusGuard::poison_count() noexcept {
  return poison_events.load(std::memory_order_acquire);
}

}  // namespace peermr::nic
