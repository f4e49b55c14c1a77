// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// The vfio-user wire format, version 0.0, as far as pnicd speaks it.
// Source: QEMU's docs/interop/vfio-user.rst and <linux/vfio.h>. All fields are in host byte order.

#include <cstddef>
#include <cstdint>

namespace peermr::nic::vfio_user {

inline constexpr uint16_t kVersionMajor = 0;
inline constexpr uint16_t kVersionMinor = 0;

enum class Command : uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kDeviceGetInfo = 4,
  kDeviceGetRegionInfo = 5,
  kDeviceGetRegionIoFds = 6,
  kDeviceGetIrqInfo = 7,
  kDeviceSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   // server to client
  kDmaWrite = 12,  // server to client
  kDeviceReset = 13,
  kRegionWriteMulti = 15,
  kDeviceFeature = 16,
};

inline constexpr uint32_t kFlagTypeMask = 0xf;
inline constexpr uint32_t kFlagTypeCommand = 0x0;
inline constexpr uint32_t kFlagTypeReply = 0x1;
inline constexpr uint32_t kFlagNoReply = 1u << 4;
inline constexpr uint32_t kFlagError = 1u << 5;

struct Header {
  uint16_t id;
  uint16_t command;
  uint32_t size;  // of the whole message, this header included
  uint32_t flags;
  uint32_t error;  // an errno value; only in replies
};
static_assert(sizeof(Header) == 16);

struct VersionFixed {
  uint16_t major;
  uint16_t minor;
};
static_assert(sizeof(VersionFixed) == 4);

inline constexpr uint32_t kDmaReadable = 1u << 0;
inline constexpr uint32_t kDmaWriteable = 1u << 1;

struct DmaMap {
  uint32_t argsz;
  uint32_t flags;
  uint64_t offset;
  uint64_t address;
  uint64_t size;
};
static_assert(sizeof(DmaMap) == 32);

// QEMU passes VFIO_DMA_UNMAP_FLAG_ALL through, though the document calls the flags unused.
inline constexpr uint32_t kDmaUnmapAll = 1u << 1;

struct DmaUnmap {
  uint32_t argsz;
  uint32_t flags;
  uint64_t address;
  uint64_t size;
};
static_assert(sizeof(DmaUnmap) == 24);

inline constexpr uint32_t kDeviceFlagReset = 1u << 0;
inline constexpr uint32_t kDeviceFlagPci = 1u << 1;

struct DeviceInfo {
  uint32_t argsz;
  uint32_t flags;
  uint32_t num_regions;
  uint32_t num_irqs;
};
static_assert(sizeof(DeviceInfo) == 16);

// Region indexes of a VFIO PCI device.
inline constexpr uint32_t kBar0Region = 0;
inline constexpr uint32_t kBar2Region = 2;
inline constexpr uint32_t kBar4Region = 4;
inline constexpr uint32_t kConfigRegion = 7;
inline constexpr uint32_t kNumRegions = 9;

inline constexpr uint32_t kRegionFlagRead = 1u << 0;
inline constexpr uint32_t kRegionFlagWrite = 1u << 1;
inline constexpr uint32_t kRegionFlagMmap = 1u << 2;
inline constexpr uint32_t kRegionFlagCaps = 1u << 3;

struct RegionInfo {
  uint32_t argsz;
  uint32_t flags;
  uint32_t index;
  uint32_t cap_offset;
  uint64_t size;
  uint64_t offset;
};
static_assert(sizeof(RegionInfo) == 32);

inline constexpr uint16_t kCapSparseMmap = 1;

struct SparseMmapCap {
  uint16_t id;
  uint16_t version;
  uint32_t next;
  uint32_t nr_areas;
  uint32_t reserved;
};
static_assert(sizeof(SparseMmapCap) == 16);

struct SparseMmapArea {
  uint64_t offset;
  uint64_t size;
};
static_assert(sizeof(SparseMmapArea) == 16);

// Interrupt indexes of a VFIO PCI device: INTx, MSI, MSI-X, ERR, REQ.
inline constexpr uint32_t kMsixIrqIndex = 2;
inline constexpr uint32_t kNumIrqs = 5;

inline constexpr uint32_t kIrqInfoEventfd = 1u << 0;
inline constexpr uint32_t kIrqInfoMaskable = 1u << 1;
inline constexpr uint32_t kIrqInfoNoResize = 1u << 3;

struct IrqInfo {
  uint32_t argsz;
  uint32_t flags;
  uint32_t index;
  uint32_t count;
};
static_assert(sizeof(IrqInfo) == 16);

inline constexpr uint32_t kIrqDataNone = 1u << 0;
inline constexpr uint32_t kIrqDataBool = 1u << 1;
inline constexpr uint32_t kIrqDataEventfd = 1u << 2;
inline constexpr uint32_t kIrqDataMask = kIrqDataNone | kIrqDataBool | kIrqDataEventfd;
inline constexpr uint32_t kIrqActionMask = 1u << 3;
inline constexpr uint32_t kIrqActionUnmask = 1u << 4;
inline constexpr uint32_t kIrqActionTrigger = 1u << 5;
inline constexpr uint32_t kIrqActions = kIrqActionMask | kIrqActionUnmask | kIrqActionTrigger;

struct IrqSet {
  uint32_t argsz;
  uint32_t flags;
  uint32_t index;
  uint32_t start;
  uint32_t count;
};
static_assert(sizeof(IrqSet) == 20);

struct RegionAccess {
  uint64_t offset;
  uint32_t region;
  uint32_t count;
};
static_assert(sizeof(RegionAccess) == 16);

struct MultiWrite {
  uint64_t offset;
  uint32_t region;
  uint32_t count;  // at most 8
  uint8_t data[8];
};
static_assert(sizeof(MultiWrite) == 24);

struct DmaAccess {
  uint64_t address;
  uint64_t count;
};
static_assert(sizeof(DmaAccess) == 16);

// What pnicd announces, and what it assumes of a peer that announces nothing.
inline constexpr uint32_t kMaxMsgFds = 8;
inline constexpr uint32_t kMaxDataXferBytes = 1u << 20;
inline constexpr uint32_t kMaxDmaMaps = 65535;

// No message is larger: a transfer of the maximum size with its access structure, or the JSON of
// VERSION.
inline constexpr size_t kMaxMessageBytes =
    sizeof(Header) + sizeof(RegionAccess) + kMaxDataXferBytes;

}  // namespace peermr::nic::vfio_user
