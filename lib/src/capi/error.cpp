// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>
#include <string>

#include "capi/handles.hpp"

namespace peermr::capi {
namespace {

std::string& last_error() noexcept {
  thread_local std::string text;
  return text;
}

}  // namespace

int fail(const Error& error) noexcept {
  last_error() = error.message();
  const std::error_condition condition = error.code().default_error_condition();
  if (condition.category() != std::generic_category() || condition.value() <= 0) return -EIO;
  return -condition.value();
}

}  // namespace peermr::capi

extern "C" const char* peermr_last_error(void) {
  return peermr::capi::last_error().c_str();
}
