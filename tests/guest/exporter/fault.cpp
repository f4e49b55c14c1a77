// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/fault.hpp"

#include <setjmp.h>
#include <signal.h>

#include "pnic/verbs.hpp"

namespace exporter_test {

namespace {

// Volatile: the handler reads it, which the compiler does not know.
thread_local sigjmp_buf* volatile escape = nullptr;

void on_sigbus(int number) {
  if (escape != nullptr) siglongjmp(*escape, 1);
  // Not one of ours: as if there were no handler.
  ::signal(number, SIG_DFL);
  ::raise(number);
}

bool install() {
  struct sigaction action {};
  action.sa_handler = on_sigbus;
  pnic_test::require(::sigaction(SIGBUS, &action, nullptr) == 0, "sigaction");
  return true;
}

// Whether `access` came to its end. What it changes must be volatile.
template <typename Access>
bool survives(Access access) {
  static const bool installed = install();
  static_cast<void>(installed);
  sigjmp_buf here;
  if (sigsetjmp(here, 1) != 0) {
    escape = nullptr;
    return false;
  }
  escape = &here;
  access();
  escape = nullptr;
  return true;
}

}  // namespace

std::optional<std::uint32_t> try_read(const volatile std::uint32_t* at) {
  volatile std::uint32_t value = 0;
  if (!survives([&] { value = *at; })) return std::nullopt;
  return value;
}

bool try_write(volatile std::uint32_t* at, std::uint32_t value) {
  return survives([&] { *at = value; });
}

}  // namespace exporter_test
