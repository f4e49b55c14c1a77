// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>

#include "peermr/thread_sections.hpp"

// Read-side sections in the RCU sense, for leases.
//
// Each thread has a slot of its own, where it notes the epoch in which its outermost section began
// (0: none). A writer makes data unreachable, then synchronize_readers() begins a new epoch and
// waits until no slot shows an older one. Readers never wait and never write what others write.
//
// A reader's store to its slot must be visible before it loads the data, which on most machines
// takes a full fence. Instead the writer makes all threads of the process execute one, by
// membarrier(2): readers then only keep the compiler from reordering.

namespace peermr::detail {

// A section that is neither its thread's first nor within another, as nearly all are, is noted in
// the thread's slot and nowhere else: it counts nothing, and calls nothing. Sections may end in any
// order.

// initial-exec: one instruction instead of a call into the loader. 16 bytes fit into what the
// loader keeps for libraries that are loaded late.
extern thread_local constinit ThreadSections t_sections __attribute__((tls_model("initial-exec")));
extern std::atomic<std::uint64_t> g_epoch;
extern std::atomic<bool> g_membarrier;

extern std::atomic<std::uint64_t> g_unclaimed;  // a thread before its first section
// Beyond kSlots threads, those that find no slot count their sections together, which is slower.
extern std::atomic<std::uint64_t> g_shared;
extern std::atomic<std::uint64_t> g_shared_count;

/// Begins a section in the usual case; false: it is another.
inline bool enter_quickly() noexcept {
  std::atomic<std::uint64_t>& slot = *t_sections.slot;
  if (slot.load(std::memory_order_relaxed) != 0) [[unlikely]]
    return false;
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer knows no fences; an exchange is one on the machines that it runs on.
  slot.exchange(g_epoch.load(std::memory_order_relaxed), std::memory_order_seq_cst);
#else
  // Acquire: who notes a new epoch must see, as the writer who began it has made it, that there is
  // no data. Release, though it begins something: the writer must see all of the section before
  // this one when it sees this store instead of the end of that.
  slot.store(g_epoch.load(std::memory_order_acquire), std::memory_order_release);
  if (g_membarrier.load(std::memory_order_relaxed)) [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
#endif
  return true;
}

/// Begins a section when enter_quickly() did not.
void enter_otherwise() noexcept;

inline void enter_section() noexcept {
  if (!enter_quickly()) enter_otherwise();
}

inline void leave_section() noexcept {
  leave_section(t_sections);
}

/// Whether the calling thread is in a section.
inline bool in_section() noexcept {
  const ThreadSections& sections = t_sections;
  if (sections.slot == &g_unclaimed || sections.slot == &g_shared) return sections.counted != 0;
  return sections.slot->load(std::memory_order_relaxed) != 0;
}

/// Waits until every section that may have seen what the caller has just made unreachable has
/// ended. Not from within a section. Thread-safe.
void synchronize_readers() noexcept;

}  // namespace peermr::detail
