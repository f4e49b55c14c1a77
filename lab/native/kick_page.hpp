// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <functional>

#include "peermr/unique_fd.hpp"

namespace peermr::native {

/// Pages on which a store is noticed, as the store to a trapped page of a BAR is: the kick pages of
/// a process (docs/nic-spec.md, section 4).
///
/// The pages are kept missing under a userfaultfd (user mode only, no privilege needed). A store
/// faults; serve() gives it a page, waits until the store is in it, takes the page away and only
/// then kicks: a store that found the page present happened before that kick, and none is lost.
///
/// Where the kernel or a sandbox has no userfaultfd, pages are plain memory and needs_ticks() asks
/// the owner to kick an armed device now and then.
class KickPages {
 public:
  KickPages();

  /// A new page, for its user to unmap. MAP_FAILED with errno; ENOMEM too when there are as many as
  /// the process may have.
  void* map(int prot);

  /// munmap(2) of a page, if `page` is one of any KickPages'; otherwise false. Waits for a serve()
  /// that is looking at it. To be tried before every other munmap(2), so a miss takes no lock.
  static bool unmap(void* page);

  /// To be watched for input; -1 if there is nothing to watch.
  int fd() const noexcept { return uffd_.get(); }
  bool needs_ticks() const noexcept { return !uffd_; }

  /// Handles what fd() has, and calls `kick` once for each store noticed.
  void serve(const std::function<void()>& kick);

 private:
  UniqueFd uffd_;
};

}  // namespace peermr::native
