// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"
#include "peermr/vfio.hpp"

namespace peermr::vend {

/// Why a loan ended.
enum class LoanEnd : std::uint32_t {
  kNone = 0,          ///< it has not
  kGivenBack = 1,     ///< the borrower gave it back
  kOverdue = 2,       ///< its lease time ran out
  kBorrowerGone = 3,  ///< the borrower's connection ended
  kVendorStops = 4,
  kDeviceGone = 5,
  kVendorGone = 6,  ///< only the borrower can say so: the connection to the vendor ended
};

/// "live", "given back", "overdue", "borrower gone", "vendor stops", "device gone", "vendor gone".
[[nodiscard]] PEERMR_API std::string_view to_string(LoanEnd end) noexcept;

struct VendorEvent;

struct VendorOptions {
  BarIndex bar{};
  /// What is lent, in slices of one size; what is left over at the end is not. Length 0: up to the
  /// BAR's end. Page-aligned.
  vfio::BarRange range{};
  std::uint64_t slice_bytes = 0;  ///< a multiple of the page size

  std::string socket;  ///< path of the socket to make
  mode_t socket_mode = 0600;
  std::optional<gid_t> socket_group = {};

  /// The longest that a loan lasts without being renewed.
  std::chrono::milliseconds lease_time = std::chrono::seconds(30);
  std::size_t max_borrowers = 64;    ///< connections
  std::size_t max_per_borrower = 0;  ///< slices; 0: any number
  std::size_t max_per_user = 0;      ///< slices of all connections of a user id; 0: any number

  /// Borrowers may mmap their slices. VFIO type1 pins what it finds in such a mapping and is never
  /// told of a revoke: a borrower that does so keeps access to a slice that another one has.
  bool mappable = false;
  /// Lend slices with what the borrower before left in them. Otherwise a slice is zero when it is
  /// lent.
  bool keep_content = false;

  /// The library's own thread does the work. False: the caller's event loop, see Vendor::fd().
  bool own_thread = true;
  /// Called after each event, by the thread that does the work. It may call loans() and must not
  /// throw or block.
  std::function<void(const VendorEvent&)> on_event = {};
};

enum class SliceState {
  kFree,      ///< can be lent
  kClearing,  ///< being set to zero
  kLent,
  kTaking,  ///< being taken back: waits for importers
  kLost,    ///< could not be taken back or cleared; never lent again
};

/// "free", "clearing", "lent", "taking back", "lost".
[[nodiscard]] PEERMR_API std::string_view to_string(SliceState state) noexcept;

/// A slice, and who has it.
struct SliceStatus {
  std::uint32_t slice = 0;
  SliceState state = SliceState::kFree;
  std::uint64_t loan = 0;  ///< kLent, kTaking; the numbers of loans begin with 1
  pid_t pid = 0;           ///< of the borrower, when it connected
  uid_t uid = 0;
  std::chrono::steady_clock::time_point expires{};  ///< kLent
  LoanEnd end = LoanEnd::kNone;                   ///< kTaking: why
};

/// What happened to a slice, or to all.
struct VendorEvent {
  enum class Kind {
    kLent,
    kRenewed,
    kEnded,       ///< the slice is being taken back; status.end says why
    kTakenBack,   ///< nothing reaches it through that loan any more
    kFree,        ///< it can be lent again
    kRefused,     ///< a borrower was disconnected, as one that breaks the protocol; error says why
    kWaiting,     ///< taking it back has lasted a second: an importer does not let go
    kLost,        ///< error says why
    kGeneration,  ///< the device's memory was revoked; borrowers are told
    kDeviceGone,  ///< nothing is lent from now on
  };
  Kind kind = Kind::kLent;
  SliceStatus status;            ///< kRefused: of pid and uid only; kGeneration, kDeviceGone: empty
  std::uint64_t generation = 0;  ///< kLent, kGeneration
  std::chrono::nanoseconds took{};  ///< kTakenBack, kFree: the taking back, the clearing
  std::optional<Error> error = {};  ///< kRefused, kLost
};

/// Lends slices of a BAR to other processes, as dma-bufs over a UNIX socket, each for a time that
/// the borrower may renew (docs/vending.md has the protocol; Borrower is the other side). When a
/// loan ends, because it was given back, its time ran out or its borrower is gone, the slice's
/// buffer is revoked for good. Only when that is done, and the exporter says that the buffer is
/// dead and nobody has it mapped, is the slice cleared and lent again.
///
/// Taking back may wait for an importer, for ever if it has a bug: that slice is not lent again
/// then, and nobody else is held up. Peers are not trusted: one that breaks the protocol, floods or
/// does not read is disconnected, which ends its loans.
///
/// Moves. loans(), reset() and stop() are thread-safe.
class PEERMR_API Vendor {
 public:
  class Core;

  /// `device` is borrowed and must neither move nor be closed while the vendor lives. Others of
  /// its functions may be used, but for reset(): use Vendor::reset().
  ///
  /// Errors:
  /// - std::errc::invalid_argument: slice size or range; says what is wrong
  /// - Errc::kNotOffered: the device's exporter cannot revoke a buffer for good; says which one can
  /// - Errc::kDead: the device is closed
  /// - those of making a socket: std::errc::address_in_use, EEXIST, EACCES, ...
  /// - errno of epoll_create1(), eventfd(), timerfd_create(), or of starting a thread
  [[nodiscard]] static Result<Vendor> create(vfio::Device& device, VendorOptions options);

  /// For create().
  [[nodiscard]] static Result<Vendor> start(std::shared_ptr<Core> core, bool own_thread);

  Vendor(Vendor&&) noexcept;
  Vendor& operator=(Vendor&&) noexcept;
  /// As stop() without a limit: waits until all slices were taken back.
  ~Vendor();

  /// For poll, epoll, libuv or io_uring without a thread of the library's: when it is readable,
  /// call process(). Borrowed; never read from it.
  [[nodiscard]] int fd() const noexcept;

  /// Does what there is to do, and returns. Does not block.
  /// Errors: std::errc::operation_not_permitted when a thread of the library's does it; errno of
  /// epoll_wait().
  Result<void> process();

  /// All slices, in order.
  [[nodiscard]] std::vector<SliceStatus> loans() const;

  /// Resets the device while slices are lent: importers are revoked and restored, loans stay, and
  /// borrowers are told the new generation. Blocks as Device::reset() does; its errors.
  Result<vfio::ResetReport> reset();

  /// Lends nothing more, ends all loans, and waits up to `limit` until all was taken back. Returns
  /// the slices that an importer still holds. The socket is gone afterwards.
  std::vector<SliceStatus> stop(std::chrono::milliseconds limit);

 private:
  class Worker;
  Vendor(std::shared_ptr<Core> core, std::unique_ptr<Worker> worker) noexcept;

  std::shared_ptr<Core> core_;
  std::unique_ptr<Worker> worker_;  // null: the caller's loop
};

}  // namespace peermr::vend
