// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <peermr/peermr.hpp>
#include <shared_mutex>

#include "soak/counts.hpp"
#include "soak/owner.hpp"
#include "soak/writer.hpp"

namespace soak {

struct ConnectedPlan {
  OwnerPlan owner;
  WriterPlan writer;
  const peermr::vfio::BarMapping* memory = nullptr;  ///< what the owner's buffer is of
  std::shared_mutex* trouble = nullptr;              ///< as StreamPlan's
};

/// Both ends of a connection, on one thread: what is said of each piece of work against what the
/// receiver got and what is in the memory.
class ConnectedStream {
 public:
  ConnectedStream(const ConnectedPlan& plan, Counts& counts);

  /// Until `stop`, and until all is settled.
  void run(const std::atomic<bool>& stop);
  peermr::Generation generation() const { return owner_.region().generation(); }

 private:
  ConnectedStream(const ConnectedPlan& plan, Counts& counts,
                  std::pair<peermr::UniqueFd, peermr::UniqueFd> sockets);
  void turn(int wait_ms);
  void check_ends(const peermr::Result<void>& owner, const peermr::Result<void>& writer);
  void check_memory(peermr::Generation generation);
  void wait_for_news();

  const ConnectedPlan plan_;
  Counts& counts_;
  Owner owner_;
  Writer writer_;
  bool alive_ = true;
};

}  // namespace soak
