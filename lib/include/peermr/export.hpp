// SPDX-License-Identifier: BSD-2-Clause
#pragma once

/// Marks what libpeermr.so exports; everything else is hidden.
#define PEERMR_API [[gnu::visibility("default")]]
