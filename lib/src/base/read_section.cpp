// SPDX-License-Identifier: BSD-2-Clause
#include "base/read_section.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <thread>

namespace peermr::detail {
namespace {

constexpr std::size_t kSlots = 1024;
constexpr std::size_t kCacheLineBytes = 64;

struct alignas(kCacheLineBytes) Slot {
  std::atomic<std::uint64_t> epoch{0};
  std::atomic<bool> taken{false};
};

// Static, so that no section ever allocates.
constinit std::array<Slot, kSlots> g_slots;
constinit std::atomic<std::size_t> g_slots_used{0};  // slots beyond this were never taken

// One at a time: sections are short, and a second writer would only make more threads fence.
constinit std::mutex g_synchronize;

long membarrier(int command) noexcept {
  return ::syscall(SYS_membarrier, command, 0, 0);
}

bool use_membarrier() noexcept {
  return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

// Orders the caller's stores before its loads of the slots, against what readers do.
void fence_against_readers() noexcept {
#if !defined(__SANITIZE_THREAD__)  // there, the new epoch is the fence
  if (!g_membarrier.load(std::memory_order_relaxed) ||
      membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
#endif
}

// Gives the slot back when the thread ends.
struct SlotReturner {
  Slot* slot = nullptr;
  ~SlotReturner() {
    // A lease that another thread-local object holds is given back through the slot that it is in.
    if (slot == nullptr || in_section()) return;
    // Leases that destructors of other thread-local objects still take are counted.
    t_sections.slot = &g_shared;
    slot->taken.store(false, std::memory_order_release);
  }
};

thread_local SlotReturner t_returner;

void wait_a_little(int& round) noexcept {
  constexpr int kYields = 64;
  if (++round < kYields) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

void claim_slot() noexcept {
  for (std::size_t i = 0; i < kSlots; ++i) {
    Slot& slot = g_slots[i];
    if (slot.taken.load(std::memory_order_relaxed)) continue;
    if (slot.taken.exchange(true, std::memory_order_acquire)) continue;
    std::size_t used = g_slots_used.load(std::memory_order_relaxed);
    while (used <= i && !g_slots_used.compare_exchange_weak(used, i + 1)) {
    }
    t_returner.slot = &slot;
    t_sections.slot = &slot.epoch;
    return;
  }
  t_sections.slot = &g_shared;
}

}  // namespace

thread_local constinit ThreadSections t_sections = {&g_unclaimed, 0};
constinit std::atomic<std::uint64_t> g_epoch{1};
// False until registered: a fence too many does no harm.
std::atomic<bool> g_membarrier{use_membarrier()};
constinit std::atomic<std::uint64_t> g_unclaimed{1};
constinit std::atomic<std::uint64_t> g_shared{1};
alignas(kCacheLineBytes) constinit std::atomic<std::uint64_t> g_shared_count{0};

void enter_otherwise() noexcept {
  ThreadSections& sections = t_sections;
  if (sections.slot == &g_unclaimed) {
    claim_slot();
    if (enter_quickly()) return;
  }
  if (sections.counted++ == 0 && sections.slot == &g_shared) {
    g_shared_count.fetch_add(1, std::memory_order_seq_cst);
  }
}

void leave_counted_section() noexcept {
  ThreadSections& sections = t_sections;
  if (--sections.counted == 0 && sections.slot == &g_shared) {
    g_shared_count.fetch_sub(1, std::memory_order_release);
  }
}

void synchronize_readers() noexcept {
  assert(!in_section());
  const std::lock_guard lock(g_synchronize);
  const std::uint64_t epoch = g_epoch.fetch_add(1, std::memory_order_seq_cst) + 1;
  fence_against_readers();
  int round = 0;
  // A slot that is claimed only now belongs to a section that sees what the caller did.
  const std::size_t used = g_slots_used.load(std::memory_order_seq_cst);
  for (std::size_t i = 0; i < used; ++i) {
    while (true) {
      const std::uint64_t seen = g_slots[i].epoch.load(std::memory_order_acquire);
      if (seen == 0 || seen >= epoch) break;
      wait_a_little(round);
    }
  }
  while (g_shared_count.load(std::memory_order_acquire) != 0) wait_a_little(round);
}

}  // namespace peermr::detail
