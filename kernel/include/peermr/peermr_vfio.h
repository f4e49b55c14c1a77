/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * What the VFIO variant driver peermr_vfio adds to VFIO_DEVICE_FEATURE. Each
 * feature carries one structure of peermr_export.h; VFIO_DEVICE_FEATURE_PROBE
 * says whether it is there. On another driver every one of them gives ENOTTY.
 *
 * The numbers are far from those that the kernel gives out, in ascending order.
 */
#ifndef PEERMR_VFIO_H
#define PEERMR_VFIO_H

#include "peermr_export.h"

/* GET, struct peermr_export_create; the ioctl returns the new descriptor */
#define PEERMR_VFIO_FEATURE_EXPORT 0xfe00
/* SET, struct peermr_export_revoke */
#define PEERMR_VFIO_FEATURE_REVOKE 0xfe01
/* SET, struct peermr_export_rearm */
#define PEERMR_VFIO_FEATURE_REARM 0xfe02
/* GET, struct peermr_export_query */
#define PEERMR_VFIO_FEATURE_QUERY 0xfe03
/* GET, struct peermr_export_info */
#define PEERMR_VFIO_FEATURE_INFO 0xfe04
/* SET, struct peermr_export_private */
#define PEERMR_VFIO_FEATURE_PRIVATE 0xfe05

#endif
