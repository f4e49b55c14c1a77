// SPDX-License-Identifier: BSD-2-Clause
//
// A writer that keeps a table of slots in the memory of a device up to date through an
// RcConnection, and sends numbered messages meanwhile; both ends of the connection, on one thread.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <peermr/peermr.hpp>
#include <set>
#include <string>
#include <vector>

#include "pnic/verbs.hpp"

namespace connection_test {

inline constexpr std::size_t kSlots = 32;
inline constexpr std::size_t kSlotBytes = 4096;
inline constexpr std::size_t kTableBytes = kSlots * kSlotBytes;
inline constexpr peermr::RegionId kRegion{1};

struct Account {
  std::uint64_t writes = 0;       // completed
  std::uint64_t given_back = 0;   // not successful
  std::uint64_t messages = 0;     // taken, each once and in order
  std::uint64_t generations = 0;  // told by events
  std::uint64_t not_placed = 0;   // places that said: write again
  std::uint32_t epochs = 0;       // connections of the queue pairs
};

class Stream {
 public:
  /// The owner of the memory is on `owner_pd`, the writer on `writer_pd`.
  Stream(ibv_pd* writer_pd, ibv_pd* owner_pd, const peermr::ConnectionOptions& options);

  /// For RegionOptions::on_event.
  std::function<void(const peermr::RegionEvent&)> wake_on_change() const {
    return owner_->wake_on_change();
  }
  /// Publishes, connects, and knows the region at the writer's side.
  void begin(peermr::Region& region);

  /// One turn of the event loop. False: something is wrong, and error() says what.
  bool step();
  /// Goes on until all that was ever written is placed: then the memory holds table().
  bool settle(std::chrono::seconds limit);
  /// The value that each word of a slot must have.
  const std::array<std::uint64_t, kSlots>& table() const { return newest_; }

  const Account& account() const { return account_; }
  const std::string& error() const { return error_; }

 private:
  void post_work();
  bool post_write(std::uint64_t slot, std::uint64_t value);
  void write_all_again();
  void take(const peermr::Completion& completion);
  void take_message(const peermr::Completion& completion);
  void take_events();
  void post_receives();
  void fail(const std::string& why) {
    if (error_.empty()) error_ = why;
  }

  std::vector<std::uint64_t> staging_ = std::vector<std::uint64_t>(kTableBytes / 8);
  std::vector<std::uint64_t> outbox_ = std::vector<std::uint64_t>(512);
  std::vector<std::uint64_t> inbox_ = std::vector<std::uint64_t>(512);
  pnic_test::Mr staging_mr_;
  pnic_test::Mr outbox_mr_;
  pnic_test::Mr inbox_mr_;
  std::optional<peermr::RcConnection> owner_;
  std::optional<peermr::RcConnection> writer_;

  std::array<std::uint64_t, kSlots> newest_{};
  std::set<std::uint64_t> to_write_;  // slots whose newest value may not be in the memory
  std::set<std::uint64_t> busy_;      // slots that are being written
  peermr::Generation generation_;     // as the last event told
  std::uint64_t next_slot_ = 0;
  std::uint64_t next_value_ = 1;
  std::uint64_t next_message_ = 0;
  std::uint64_t receives_ = 0;
  std::size_t outstanding_ = 0;
  bool settling_ = false;
  bool placed_ = false;
  Account account_;
  std::string error_;
};

}  // namespace connection_test
