// SPDX-License-Identifier: BSD-2-Clause
#include "base/system.hpp"

#include <cstdlib>

namespace peermr::tool {

SystemPaths system_paths() {
  SystemPaths paths;
  if (const char* sysfs = ::secure_getenv("SYSFS_PATH"); sysfs != nullptr && *sysfs != '\0') {
    paths.sysfs = sysfs;
  }
  return paths;
}

}  // namespace peermr::tool
