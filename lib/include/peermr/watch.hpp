// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "peermr/bdf.hpp"
#include "peermr/dma_buf.hpp"
#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr {

/// Invalidates of a dma-buf since the last read().
struct WatchEvent {
  std::uint64_t invalidates = 0;  ///< not 0
  std::uint64_t total = 0;        ///< since the watch was made
  std::chrono::steady_clock::time_point first;
  std::chrono::steady_clock::time_point last;
};

enum class WatchState {
  kUnknown,  ///< the exporter is not one that says
  kLive,
  kRevoked,  ///< may come back
  kHeld,     ///< until the owner re-arms it
  kDead,     ///< never again
  kPrivate,  ///< nobody may map it
};

/// "unknown", "live", "revoked", "held", "dead", "private".
[[nodiscard]] PEERMR_API std::string_view to_string(WatchState state) noexcept;

struct WatchStatus {
  WatchState state = WatchState::kUnknown;
  std::uint64_t total = 0;    ///< invalidates since the watch was made
  std::uint64_t revokes = 0;  ///< of the buffer; 0 where the state is unknown
};

struct WatchProbe {
  std::error_code error;    ///< of the last attempt; none: it was mapped, and unmapped again
  std::uint64_t total = 0;  ///< invalidates at that time
};

/// Learns of every invalidate of a dma-buf, whoever exported it, through /dev/dmabuf_watch: an
/// importer that maps nothing. Keeps the buffer alive. Moves; const functions are thread-safe.
class PEERMR_API Watch {
 public:
  /// `importer` is the PCI device in whose name the watch attaches: usually the one that imports
  /// the buffer.
  ///
  /// Errors: Errc::kNoWatch when the module is not loaded; Errc::kRevoked when the exporter does
  /// not let anyone attach now (mainline VFIO, while its memory is revoked or gone);
  /// Errc::kImporterNotRevocable when the exporter refuses it; std::errc::no_such_device when there
  /// is no such PCI device; EDQUOT when this user has too many; EACCES, EMFILE.
  [[nodiscard]] static Result<Watch> create(const DmaBuf& buffer, const Bdf& importer,
                                            const SystemPaths& paths = {});

  /// For create().
  Watch(UniqueFd fd, std::string name) noexcept;

  /// Borrowed. Readable (poll, epoll) once there was an invalidate since the last read().
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// What happened since the last read, or nothing. Does not block.
  [[nodiscard]] Result<std::optional<WatchEvent>> read() const;

  /// Counters and state. Maps nothing and moves nothing.
  [[nodiscard]] Result<WatchStatus> status() const;

  /// Whether the buffer can be mapped right now; tries for `timeout`, at most 10 s. Mapping may
  /// move a GPU's buffer, so it takes CAP_SYS_RAWIO (EPERM). Blocks.
  [[nodiscard]] Result<WatchProbe> probe(std::chrono::milliseconds timeout) const;

 private:
  UniqueFd fd_;
  std::string name_;
};

}  // namespace peermr
