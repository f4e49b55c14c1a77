// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>
#include <string>

#include "capi/call.hpp"

namespace peermr::capi {
namespace {

std::string& last_error() noexcept {
  thread_local std::string text;
  return text;
}

}  // namespace

int fail(const Error& error) noexcept {
  try {
    last_error() = error.message();
  } catch (const std::bad_alloc&) {
    return fail_for_memory();
  }
  const std::error_condition condition = error.code().default_error_condition();
  if (condition.category() != std::generic_category() || condition.value() <= 0) return -EIO;
  return -condition.value();
}

int fail_for_memory() noexcept {
  last_error() = "out of memory";
  return -ENOMEM;
}

int refuse(std::string_view operation, std::string_view why) noexcept {
  return guarded([&] { return fail(make_error(std::errc::invalid_argument, operation, "", why)); });
}

int refuse_null(std::string_view operation) noexcept {
  return refuse(operation, "an argument is null");
}

}  // namespace peermr::capi

extern "C" const char* peermr_last_error(void) {
  return peermr::capi::last_error().c_str();
}
