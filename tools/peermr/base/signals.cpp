// SPDX-License-Identifier: BSD-2-Clause
#include "base/signals.hpp"

#include <csignal>

namespace peermr::tool {
namespace {

volatile std::sig_atomic_t stop = 0;

void on_signal(int number) {
  if (stop != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
  stop = 1;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() noexcept {
  return stop != 0;
}

}  // namespace peermr::tool
