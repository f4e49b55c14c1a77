// SPDX-License-Identifier: BSD-2-Clause
#pragma once

/// All of libpeermr.

#include "peermr/bdf.hpp"
#include "peermr/borrow.hpp"
#include "peermr/dma_buf.hpp"
#include "peermr/error.hpp"
#include "peermr/events.hpp"
#include "peermr/exporter.hpp"
#include "peermr/lease.hpp"
#include "peermr/log.hpp"
#include "peermr/monitor.hpp"
#include "peermr/region.hpp"
#include "peermr/region_cache.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/types.hpp"
#include "peermr/unique_fd.hpp"
#include "peermr/vend.hpp"
#include "peermr/verbs.hpp"
#include "peermr/vfio.hpp"
#include "peermr/watch.hpp"
