// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "peermr/dma_buf.hpp"
#include "peermr/export.hpp"
#include "peermr/lease.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/types.hpp"
#include "peermr/verbs.hpp"

namespace peermr {

class EventQueue;
class Monitor;

///   Live --invalidate--> Revoked --restored--> Restoring --> Live (generation + 1)
///     \                     \---------------------------------> Dead
///      \--close / permanent revoke------------------------------> Dead
enum class RegionState { kLive, kRevoked, kRestoring, kDead };

/// "live", "revoked", "restoring", "dead".
[[nodiscard]] PEERMR_API std::string_view to_string(RegionState state) noexcept;

/// What becomes of a region whose memory is revoked.
enum class RevokePolicy {
  kFail,      ///< it is Dead at once
  kPause,     ///< the library brings it back as soon as the memory is, within BackOff::limit
  kHandOver,  ///< it stays Revoked until the application calls recover()
};

enum class KeyPolicy {
  /// Keep the key where the importer can. A peer may then write again as soon as memory is back,
  /// before anybody has told it that content may be lost.
  kStable,
  /// Every generation has a new key; an older one never grants access. It stays registered, dead,
  /// until release_keys_before(). With a faultable importer this takes one of peermr's exporters
  /// and a buffer that this process exported: each key then has an export of its own, which is
  /// revoked for good before the next one is made.
  kFresh,
};

/// Between attempts to register again: from `first`, doubled up to `ceiling`, for `limit` at most.
struct BackOff {
  std::chrono::nanoseconds first = std::chrono::microseconds(50);
  std::chrono::nanoseconds ceiling = std::chrono::milliseconds(10);
  std::chrono::nanoseconds limit = std::chrono::seconds(2);
};

struct RegionEvent {
  RegionState state = RegionState::kLive;
  Generation generation;
  KeyEpoch key_epoch;
  const Error* error = nullptr;  ///< why, when it is not good news; valid during the call only
};

struct RegionOptions {
  std::uint64_t offset_bytes = 0;  ///< first byte within the dma-buf
  std::uint64_t length_bytes = 0;  ///< 0: all from the offset on
  /// Address of the first byte for work requests; none: the offset. Must agree with the offset
  /// within a page.
  std::optional<Iova> address = {};
  int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  RevokePolicy on_revoke = RevokePolicy::kPause;
  KeyPolicy keys = KeyPolicy::kStable;
  BackOff back_off = {};
  /// Called after every change of state, by the thread that made it, possibly while it resets the
  /// device, or by the monitor's. It may call the const functions of the region and must not block, throw or call
  /// others.
  std::function<void(const RegionEvent&)> on_event = {};
  /// Borrowed for create(): gets the same events, for a thread that waits for descriptors. Null:
  /// none.
  EventQueue* events = nullptr;
  std::uint64_t cookie = 0;  ///< by which its reader knows the region
  /// Borrowed for create(): tells the region what others do to its memory. Null: nobody does.
  const Monitor* monitor = nullptr;
  SystemPaths paths = {};  ///< where the importer's class and the path prediction come from
};

/// What a completion says about a region.
enum class CompletionVerdict {
  kUnrelated,  ///< success, or an error that no revoke explains
  kStale,      ///< explained by a revoke that is over: post again
  kRevoked,    ///< the region may have lost its memory; it gives no keys until recovered
};

/// An RDMA memory region on memory that can be taken away: a dma-buf registered with a protection
/// domain, registered again after a revoke.
///
/// How it learns of a revoke: from the vfio::Device that exported the buffer, in the same process,
/// before and after each of its calls that revoke; from its Monitor, right after a revoke by anybody
/// else; from report_completion(), late; from close(). With a monitor it comes back by itself after
/// all of these, as its RevokePolicy says.
///
/// Moves. All functions are thread-safe except close(), moves and the destructor. lease() is the
/// hot path; the others may block.
class PEERMR_API Region {
 public:
  /// Registers a part of `buffer` with `pd`, which the caller keeps until the region is closed. The
  /// region keeps the buffer open.
  ///
  /// Errors:
  /// - std::errc::invalid_argument: the part is not within the buffer, the address does not agree
  ///   with the offset, access flags that a dma-buf cannot have
  /// - std::errc::not_supported: KeyPolicy::kFresh, which importer and exporter cannot keep
  /// - Errc::kImporterNoDmaBuf, Errc::kImporterNotRevocable: says which driver, and why
  /// - Errc::kPathNotSupported: says which devices, and why
  /// - Errc::kRevoked: the memory is not there now: memory decode is off, or a reset is under way
  /// - with a monitor, the errors of Watch::create() but for Errc::kNoWatch
  /// - what ibv_reg_dmabuf_mr() returns
  [[nodiscard]] static Result<Region> create(ibv_pd* pd, const DmaBuf& buffer,
                                             const RegionOptions& options = {});

  explicit Region(std::shared_ptr<detail::RegionCore> core) noexcept;
  Region(Region&&) noexcept;
  Region& operator=(Region&&) noexcept;
  /// As close(), with errors logged. In a thread that holds a lease it cannot close: the memory
  /// region is lost until the process ends.
  ~Region();

  /// The keys, or nothing while the region is not live. See Lease.
  Lease lease() const noexcept;

  [[nodiscard]] RegionState state() const noexcept;
  [[nodiscard]] Generation generation() const noexcept;
  [[nodiscard]] KeyEpoch key_epoch() const noexcept;
  /// A copy of the keys to send to a peer; nothing while the region is not live.
  [[nodiscard]] std::optional<RegionKeys> keys() const noexcept;
  [[nodiscard]] const verbs::RdmaDevice& importer() const noexcept;
  /// For messages: "0000:04:00.0 BAR 2 on pnic0".
  [[nodiscard]] const std::string& name() const noexcept;

  /// Tells the region how a work request that used its keys ended. `posted_in` is the generation
  /// of the lease under which it was posted. An error that a revoke explains takes a live region's
  /// keys away: call recover(). Wait-free.
  CompletionVerdict report_completion(ibv_wc_status status, Generation posted_in) noexcept;

  /// Brings the region back, trying with back-off until `limit` (none: that of the options). A live
  /// region is left as it is. Blocks; close() on another thread ends it.
  ///
  /// Errors: Errc::kDead; Errc::kLeaseHeld; Errc::kRevoked when the limit ran out, with the last
  /// attempt's error as detail; Errc::kPathNotSupported and the like when trying again is no use.
  Result<void> recover(std::optional<std::chrono::nanoseconds> limit = std::nullopt);

  /// Peers have acknowledged a key of `epoch` or later (or their leases ran out): keys older than
  /// that are deregistered. With KeyPolicy::kStable there are none. Waits for a thread that
  /// registers the region. Errors: Errc::kLeaseHeld; the first error of ibv_dereg_mr(), though all
  /// is tried.
  Result<void> release_keys_before(KeyEpoch epoch);

  /// Dead: waits for leases, then deregisters. Closing twice succeeds.
  /// Errors: Errc::kLeaseHeld; the first error of ibv_dereg_mr(), though all is tried.
  Result<void> close();

 private:
  std::shared_ptr<detail::RegionCore> core_;
};

}  // namespace peermr
