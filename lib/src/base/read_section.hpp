// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>

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

// The thread's slot says whether it is in a section. Only what is beyond that is counted, so that a
// section that is not nested, which nearly all are, neither waits for the store of the one before
// to come back nor counts.
struct ThreadSections {
  std::atomic<std::uint64_t>* slot;  // null: none claimed yet
  // Sections within the outermost one; with the shared slot, which says nothing of this thread, all.
  std::uint32_t counted;
};

// initial-exec: one instruction instead of a call into the loader. 16 bytes fit into what the
// loader keeps for libraries that are loaded late.
extern thread_local constinit ThreadSections t_sections __attribute__((tls_model("initial-exec")));
extern std::atomic<std::uint64_t> g_epoch;
extern std::atomic<bool> g_membarrier;

/// Claims a slot for the calling thread, once in its life. Beyond kSlots threads they share one,
/// which is slower, and counts.
void claim_slot() noexcept;
void enter_shared() noexcept;
void leave_shared() noexcept;
extern std::atomic<std::uint64_t>* const g_shared_slot;

inline void enter_section() noexcept {
  ThreadSections& sections = t_sections;
  if (sections.slot == nullptr) [[unlikely]]
    claim_slot();
  if (sections.slot == g_shared_slot) [[unlikely]] {
    if (sections.counted++ == 0) enter_shared();
    return;
  }
  if (sections.slot->load(std::memory_order_relaxed) != 0) {
    ++sections.counted;
    return;
  }
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer knows no fences; an exchange is one on the machines that it runs on.
  sections.slot->exchange(g_epoch.load(std::memory_order_relaxed), std::memory_order_seq_cst);
#else
  // Acquire: who notes a new epoch must see, as the writer who began it has made it, that there is
  // no data. Release, though it begins something: the writer must see all of the section before
  // this one when it sees this store instead of the end of that.
  sections.slot->store(g_epoch.load(std::memory_order_acquire), std::memory_order_release);
  if (g_membarrier.load(std::memory_order_relaxed)) [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
#endif
}

inline void leave_section() noexcept {
  ThreadSections& sections = t_sections;
  if (sections.counted == 0) {
    sections.slot->store(0, std::memory_order_release);
  } else if (--sections.counted == 0 && sections.slot == g_shared_slot) {
    leave_shared();
  }
}

/// Whether the calling thread is in a section.
inline bool in_section() noexcept {
  const ThreadSections& sections = t_sections;
  if (sections.slot == nullptr) return false;
  if (sections.slot == g_shared_slot) return sections.counted != 0;
  return sections.slot->load(std::memory_order_relaxed) != 0;
}

/// Waits until every section that may have seen what the caller has just made unreachable has
/// ended. Not from within a section. Thread-safe.
void synchronize_readers() noexcept;

}  // namespace peermr::detail
