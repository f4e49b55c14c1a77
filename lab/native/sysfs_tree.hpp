// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <string>

#include "peermr/result.hpp"

namespace peermr::native {

/// Writes what libibverbs reads of a device in sysfs, for pnic`index` and uverbs`index`, below `root`
/// (the value of SYSFS_PATH). Errors: what creating files reports.
Result<void> write_sysfs_device(const std::string& root, int index, const pnic_device_attr& attr);

}  // namespace peermr::native
