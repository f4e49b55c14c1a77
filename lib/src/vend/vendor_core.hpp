// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "peermr/vend.hpp"
#include "vend/loan_book.hpp"
#include "vend/packet_socket.hpp"
#include "vend/reclaimer.hpp"
#include "vend/slice_memory.hpp"
#include "vend/wire.hpp"

namespace peermr::vend {

/// Serves borrowers in one thread, without ever waiting for one of them: what may wait is the
/// Reclaimer's. Connections are in vendor_core.cpp, loans in vendor_loans.cpp.
class Vendor::Core {
 public:
  using Clock = std::chrono::steady_clock;
  using BorrowerId = LoanBook::BorrowerId;

  /// How often a device is asked for its generation while something is lent.
  static constexpr auto kLookEvery = std::chrono::milliseconds(100);
  /// Packets that one borrower may send before others have their turn.
  static constexpr int kPacketsATurn = 16;

  [[nodiscard]] static Result<std::shared_ptr<Core>> create(std::unique_ptr<SliceMemory> memory,
                                                            VendorOptions options);
  Core(std::unique_ptr<SliceMemory> memory, VendorOptions options, PacketListener listener);

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

  /// Waits up to `limit_ms` (-1: for ever) for something to do, does it, and calls the listener.
  /// One thread at a time.
  Result<void> process(int limit_ms);
  /// Makes process() return.
  void wake() noexcept;

  [[nodiscard]] std::vector<SliceStatus> loans() const;
  Result<vfio::ResetReport> reset();
  /// `drive`: nobody else calls process().
  std::vector<SliceStatus> stop(std::optional<std::chrono::milliseconds> limit, bool drive);

 private:
  struct Client {
    BorrowerId id = 0;
    UniqueFd fd;
    pid_t pid = 0;
    uid_t uid = 0;
    Clock::time_point heard;
    bool dropped = false;  // goes at the end of the turn
  };
  struct Waiter {
    BorrowerId borrower = 0;
    std::uint32_t number = 0;
    std::chrono::milliseconds lease_time{};
    Clock::time_point deadline;
    std::optional<std::uint32_t> slice;  // is being cleared for this one, which waits for it
  };
  // What belongs to a slice that is lent or being taken back.
  struct Held {
    std::optional<DmaBuf> buffer;        // until it is handed to the reclaimer
    std::uint32_t give_back_number = 0;  // of the request that waits for the end
    BorrowerId give_back_to = 0;
    Clock::time_point ended;
    bool said_waiting = false;
  };

  // vendor_core.cpp
  Result<void> set_up();
  Result<void> watch(int fd, std::uint64_t id) const;
  void accept_clients(Clock::time_point now);
  void welcome(Peer peer, Clock::time_point now);
  bool make_room();
  void serve(Client& client, Clock::time_point now);
  void send(Client& client, const Notice& notice, int descriptor = -1);
  void drop(Client& client, std::string_view why);
  void sweep(Clock::time_point now);
  void set_timer(Clock::time_point now);
  void deliver(std::unique_lock<std::mutex>& lock);
  Client* client(BorrowerId id);
  void refuse(Client& client, std::uint32_t number, int error_number, std::string_view why);
  void tell(VendorEvent event);

  // vendor_loans.cpp
  void handle(Client& client, const Request& request, Clock::time_point now);
  void borrow(Client& client, const Request& request, Clock::time_point now);
  void renew(Client& client, const Request& request, Clock::time_point now);
  void give_back(Client& client, const Request& request, Clock::time_point now);
  void lend(Client& client, std::uint32_t number, std::uint32_t slice,
            std::chrono::milliseconds lease_time, Clock::time_point now);
  void serve_waiters(Clock::time_point now);
  void end_waits(Clock::time_point now);
  void end(std::uint32_t slice, LoanEnd why, Clock::time_point now);
  void end_all(LoanEnd why, Clock::time_point now);
  void look_at_device(Clock::time_point now);
  void finish_reclaims(Clock::time_point now);
  void taken_back(const Reclaimer::Done& done, Clock::time_point now);
  void cleared(const Reclaimer::Done& done, Clock::time_point now);
  void say_who_waits(Clock::time_point now);
  [[nodiscard]] bool is_ready(std::uint32_t slice) const;
  [[nodiscard]] std::chrono::milliseconds clip(std::uint64_t lease_ms) const;
  [[nodiscard]] std::optional<Clock::time_point> next_loan_event(Clock::time_point now) const;

  const std::unique_ptr<SliceMemory> memory_;
  const VendorOptions options_;
  UniqueFd epoll_;
  UniqueFd timer_;
  UniqueFd wakeup_;
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;         // protects what follows
  std::condition_variable settled_;  // nothing is lent or being taken back any more
  std::optional<PacketListener> listener_;
  LoanBook book_;
  std::vector<Held> held_;
  std::map<BorrowerId, Client> clients_;
  std::deque<Waiter> waiters_;
  BorrowerId last_id_;
  Clock::time_point accept_after_{};
  Clock::time_point look_after_{};
  std::optional<Clock::time_point> reinforce_at_;
  std::uint64_t generation_ = 0;
  bool stopped_ = false;  // loans were ended because of stopping_
  bool device_gone_ = false;
  std::vector<VendorEvent> events_;  // not delivered yet

  std::unique_ptr<Reclaimer> reclaimer_;  // last: its threads use the memory
};

}  // namespace peermr::vend
