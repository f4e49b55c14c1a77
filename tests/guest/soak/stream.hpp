// SPDX-License-Identifier: BSD-2-Clause
//
// One initiator that writes records into one region of VFIO-owned memory and reads them back, while
// that memory is taken away again and again.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <peermr/peermr.hpp>
#include <random>
#include <shared_mutex>
#include <string>

#include "revoke/link.hpp"
#include "soak/counts.hpp"
#include "soak/ledger.hpp"
#include "soak/record.hpp"

namespace soak {

struct StreamPlan {
  std::uint32_t number = 0;
  const char* initiator = nullptr;  ///< variables that hold the NICs' PCI addresses
  const char* target = nullptr;
  const peermr::DmaBuf* buffer = nullptr;
  peermr::KeyPolicy keys = peermr::KeyPolicy::kStable;
  const peermr::Monitor* monitor = nullptr;
  std::shared_mutex* trouble = nullptr;  ///< held, shared, by who makes some with the device
  std::uint64_t seed = 0;
};

class Stream {
 public:
  Stream(const StreamPlan& plan, Counts& counts);

  /// Until `stop`.
  void run(const std::atomic<bool>& stop);
  peermr::Generation generation() const { return region_.generation(); }
  /// Its state, when it is stuck.
  std::string describe() const;

 private:
  struct Operation {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
    peermr::Generation generation;
    bool read = false;
  };

  void turn();
  void post_some(const peermr::RegionKeys& keys);
  void complete();
  void finish(const ibv_wc& wc);
  void succeeded(const Operation& operation, std::uint64_t place);
  void verify(const Operation& operation, const Record& found);
  bool is_told_of_loss_since(peermr::Generation generation);
  void wait_for_keys();
  void note(const peermr::RegionKeys& keys);
  void intrude(const peermr::RegionKeys& old);
  bool is_busy(std::uint32_t slot) const;
  Record& local(std::uint64_t place);

  const StreamPlan plan_;
  Counts& counts_;
  std::mt19937_64 random_;
  revoke_test::End initiator_, target_;
  revoke_test::HostMemory host_;
  peermr::Region region_;
  Ledger ledger_{kSlots};
  std::map<std::uint64_t, Operation> in_flight_;  // by wr_id, which is the place in host_
  bool broken_ = false;                           // the queue pair is in the error state
  bool wants_to_intrude_ = false;                 // once nothing is in flight
  const std::atomic<bool>* stop_ = nullptr;
  peermr::RegionKeys keys_;                  // those used last
  std::deque<peermr::RegionKeys> old_keys_;  // of earlier epochs, not yet given up
};

}  // namespace soak
