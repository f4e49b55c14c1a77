// SPDX-License-Identifier: BSD-2-Clause
#include "base/quiet_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace peermr {
namespace {

class AllSignalsBlocked {
 public:
  AllSignalsBlocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

std::thread start_quiet_thread(const char* name, std::function<void()> run) {
  const AllSignalsBlocked inherited;
  std::thread thread(std::move(run));
  ::pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace peermr
