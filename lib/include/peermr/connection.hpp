// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "peermr/descriptor.hpp"
#include "peermr/export.hpp"
#include "peermr/out_of_band.hpp"
#include "peermr/publication.hpp"
#include "peermr/queue_pair.hpp"
#include "peermr/region.hpp"
#include "peermr/result.hpp"
#include "peermr/work.hpp"

namespace peermr {

/// What becomes of unacknowledged work when a region of the peer's has a new generation.
enum class NewGenerationPolicy : std::uint8_t {
  /// It comes back as CompletionStatus::kNewGeneration, and no other work is taken for the region
  /// before the application has read the event: nothing is written to a generation that it does not
  /// know.
  kGiveBack,
  /// It is done in the new generation.
  kReplay,
};

struct ConnectionOptions {
  QpParameters qp = {};
  /// How much work is kept, from the call until its completion is polled.
  std::uint32_t max_sends = 128;
  std::uint32_t max_receives = 128;
  NewGenerationPolicy on_new_generation = NewGenerationPolicy::kGiveBack;
  /// A piece of work that fails so often and for so long, without a revoke to explain it, is
  /// completed as failed. The peer needs time to learn of a revoke that others caused, and to tell.
  std::uint32_t max_failures = 8;
  std::chrono::nanoseconds failing_for = std::chrono::seconds(2);
  /// Between recoveries that bring nothing forward: from `first`, doubled up to `ceiling`. A
  /// recovery that takes longer than `limit` is the end.
  BackOff recovery = {.first = std::chrono::microseconds(500),
                      .ceiling = std::chrono::milliseconds(100),
                      .limit = std::chrono::seconds(10)};
  /// Of the peer's regions.
  std::size_t max_remote_regions = 1024;
};

enum class ConnectionState : std::uint8_t {
  kConnecting,  ///< for the first time
  kLive,
  kRecovering,  ///< after an error: work is taken, and waits
  kDead,        ///< for good; error() says why
};

/// "connecting", "live", "recovering", "dead".
[[nodiscard]] PEERMR_API std::string_view to_string(ConnectionState state) noexcept;

struct ConnectionEvent {
  enum class Kind : std::uint8_t {
    kState,   ///< of the connection; several changes that nobody read are one event
    kRegion,  ///< a region of the peer's is new, or has changed; likewise
    /// Work of the peer's failed with a remote access error. When the region is live and was
    /// revoked by others: Region::report_completion(). The peer may lie.
    kPeerFailed,
  };
  Kind kind = Kind::kState;
  ConnectionState state = ConnectionState::kConnecting;
  std::uint32_t epoch = 0;       ///< connections so far, the present one included
  RegionDescriptor region = {};  ///< kRegion; kPeerFailed: its id alone
  Generation previous_generation =
      {};  ///< kRegion: as last read; an older one than region.generation
           ///< means that what was written before may be gone
};

/// One RC queue pair with its completion queue, which survives remote access, transport and RNR
/// errors: both sides drain, connect again over the out-of-band channel, and repeat what was not
/// acknowledged, in order. The application gets one completion for each piece of work, in the order
/// of the calls (sends among themselves, and receives among themselves).
///
/// - WRITEs and READs may be executed more than once until they are completed. SENDs and WRITEs
/// with
///   immediate are taken once: the peer says how many it has. Atomics are never repeated: where it
///   cannot be known whether one was executed, its completion says so.
/// - After work that failed nothing behind it is executed, and no new work is taken until its
///   completion has been polled.
/// - The peer's memory is named by region and offset. Work for a region that is paused waits, and
///   what was asked for later waits behind it.
///
/// docs/connection.md has all of it: what "acknowledged" and "placed" promise, and the protocol.
///
/// Both ends are RcConnections (or speak the protocol). Moves. One thread at a time, but for
/// wake_on_change()'s function. No thread of its own, and nothing waits but wait_until_live():
/// the application's loop waits for fd() and calls process(). The hot path, post() and poll(),
/// makes no system call and does not allocate.
class PEERMR_API RcConnection {
 public:
  /// Makes the queue pair. Borrows `pd`; takes the channel. Connecting goes on in process().
  /// Errors: std::errc::invalid_argument: sizes of 0; errno of libibverbs, or of epoll_create1(),
  /// eventfd() and timerfd_create().
  [[nodiscard]] static Result<RcConnection> create(ibv_pd* pd, std::unique_ptr<OutOfBand> channel,
                                                   const ConnectionOptions& options = {});

  RcConnection(RcConnection&&) noexcept;
  RcConnection& operator=(RcConnection&&) noexcept;
  /// Destroys the queue pair: nothing is on its way afterwards, and the peer's connection dies.
  ~RcConnection();

  /// For poll, epoll, libuv or io_uring: when it is readable, call process(). Borrowed; never read
  /// from it.
  [[nodiscard]] int fd() const noexcept;

  /// Does what there is to do: messages, completions, recovery, regions. Does not wait.
  /// Errors: those that ended the connection: std::errc::connection_reset (the peer is gone),
  /// std::errc::timed_out, Errc::kMalformed (the peer breaks the protocol), errno of libibverbs.
  /// All work is completed then. Errc::kLeaseHeld when this thread holds a lease: nothing happened.
  Result<void> process();

  /// Waits and processes until the connection is live.
  /// Errors: std::errc::timed_out; those of process().
  Result<void> wait_until_live(std::chrono::nanoseconds limit);

  [[nodiscard]] ConnectionState state() const noexcept;

  /// Takes work; it is posted at once where that is possible. Nothing is taken on an error:
  /// - std::errc::no_such_file_or_directory: the peer has told of no such region
  /// - std::errc::invalid_argument: not within the region, or a local range that cannot be
  /// - std::errc::operation_not_supported: atomics, which the device does not have
  /// - std::errc::resource_unavailable_try_again: max_sends reached, poll
  /// - Errc::kStale: the region has a generation of which the application has not read
  ///   (NewGenerationPolicy::kGiveBack)
  /// - std::errc::operation_canceled: earlier work failed, and its completion was not polled yet
  /// - Errc::kDead: the region, or the connection
  Result<void> post(const WorkRequest& work);

  /// A receive for one message. Errors: as post(), for max_receives and the connection.
  Result<void> post_receive(std::uint64_t id, const LocalMemory& local);

  /// Completions, oldest first; how many.
  [[nodiscard]] std::size_t poll(std::span<Completion> completions);

  /// The oldest event that was not read.
  [[nodiscard]] std::optional<ConnectionEvent> next_event();

  /// Tells the peer of a region of this side: now, and at each change that process() finds. When
  /// the peer has acknowledged a new key, older ones are given back. `region` is borrowed:
  /// process() is not called once it was moved or destroyed. Errors: std::errc::file_exists: the id
  /// was used before.
  Result<void> publish(RegionId id, Region& region);
  /// The same for a region that has several peers: its publication is shared by their connections.
  Result<void> publish(std::shared_ptr<Publication> publication);

  /// What the peer has told last of a region; none: nothing.
  [[nodiscard]] std::optional<RegionDescriptor> remote_region(RegionId id) const;

  /// For RegionOptions::on_event of regions that are published here, or whose memory work uses:
  /// fd() is readable then. Without it process() finds out only when something else calls for it.
  /// Thread-safe; may outlive the connection.
  [[nodiscard]] std::function<void(const RegionEvent&)> wake_on_change() const;

 private:
  class Impl;
  explicit RcConnection(std::unique_ptr<Impl> impl) noexcept;

  std::unique_ptr<Impl> impl_;
};

}  // namespace peermr
