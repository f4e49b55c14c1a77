// SPDX-License-Identifier: BSD-2-Clause
#include "base/exit_code.hpp"

#include <fmt/core.h>

#include <cstdio>

namespace peermr::tool {

ExitCode exit_code_for(const Error& error) noexcept {
  for (Errc code :
       {Errc::kPathNotSupported, Errc::kImporterNotRevocable, Errc::kImporterNoDmaBuf,
        Errc::kNoDmaBufFeature, Errc::kGroupNotViable, Errc::kNotOffered, Errc::kNoWatch}) {
    if (error.code() == make_error_code(code)) return kUnsupported;
  }
  if (error.code() == std::errc::operation_not_supported ||
      error.code() == std::errc::not_supported ||
      error.code() == std::errc::operation_not_permitted) {
    return kUnsupported;
  }
  return kFailure;
}

ExitCode report_error(const Error& error) {
  std::fflush(stdout);
  fmt::print(stderr, "peermr: {}\n", error.message());
  return exit_code_for(error);
}

}  // namespace peermr::tool
