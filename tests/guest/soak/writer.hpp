// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <peermr/peermr.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "soak/counts.hpp"
#include "soak/ledger.hpp"
#include "soak/message.hpp"
#include "soak/nic.hpp"

namespace soak {

struct WriterPlan {
  std::uint32_t number = 0;
  const char* nic = nullptr;  ///< variable that holds its PCI address
  peermr::NewGenerationPolicy policy = peermr::NewGenerationPolicy::kGiveBack;
  std::uint64_t seed = 0;
};

/// The end of a connection that writes records into the owner's memory, reads them back, and sends
/// numbered messages. What comes back as not taken is sent once more under the same number: when
/// that was not true, its owner gets it twice.
class Writer {
 public:
  Writer(const WriterPlan& plan, peermr::UniqueFd socket, Counts& counts);

  int fd() const { return connection_.fd(); }
  /// One turn of an event loop. An error: the connection is dead, and all work is completed.
  peermr::Result<void> turn();

  /// From here on it only ends what it has begun, with a place behind all.
  void settle() { settling_ = true; }
  bool is_settled() const { return settled_; }
  /// It was asked for something, and for a long time nothing was completed.
  bool is_stuck() const;

  /// Numbers below this one were acknowledged.
  std::uint64_t acknowledged() const { return acknowledged_; }
  /// The generation in which all that ledger() has is in the memory, once for each place.
  std::optional<peermr::Generation> take_placed() { return std::exchange(placed_, std::nullopt); }
  const Ledger& ledger() const { return ledger_; }

  /// A record was not found where it must be, unless the memory is not of `generation` any more;
  /// then an event must say so.
  void suspect(peermr::Generation generation, std::uint32_t slot, std::string_view where);
  bool has_suspects() const { return !suspects_.empty(); }
  /// No event has said so: they are missing.
  void condemn();

  /// For an end whose connection is dead: what is not as it should be, or nothing.
  std::string end();
  std::string describe() const;

 private:
  struct Work {
    bool busy = false;
    peermr::Operation operation = peermr::Operation::kWrite;
    std::optional<std::uint32_t> slot = {};
    std::uint64_t sequence = 0;  // of a record
    std::uint64_t number = 0;    // of a message
    peermr::Generation generation = {};
  };
  struct Suspect {
    peermr::Generation generation;
    std::uint32_t slot;
    std::string_view where;
  };

  void post_some();
  bool post_one(std::uint64_t place);
  bool post_message(std::uint64_t place);
  bool post_record(std::uint64_t place, peermr::Generation generation);
  bool post(std::uint64_t place, const Work& work, const peermr::LocalMemory& local);
  bool is_busy(std::uint32_t slot) const;
  void finish(const peermr::Completion& done);
  void succeeded(const Work& work, const peermr::Completion& done);
  void verify(const Work& work, const peermr::Completion& done);
  void read_events();

  const WriterPlan plan_;
  Counts& counts_;
  std::mt19937_64 random_;
  Nic nic_;
  Messages local_;
  peermr::RcConnection connection_;
  Ledger ledger_{kSlots};
  std::vector<Work> work_;       // by id, which is the place in local_
  std::size_t outstanding_ = 0;  // busy ones of work_
  std::uint64_t next_message_ = 0;
  std::uint64_t end_message_ = 0;  // those from here on were never sent
  std::uint64_t acknowledged_ = 0;
  std::uint32_t epoch_ = 1;
  std::optional<peermr::Generation> placed_;
  std::vector<Suspect> suspects_;
  bool settling_ = false;
  bool settled_ = false;
  std::chrono::steady_clock::time_point progress_ = std::chrono::steady_clock::now();
};

}  // namespace soak
