// SPDX-License-Identifier: BSD-2-Clause
//
// An event, what was seen of it, and what should have been.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "events/load.hpp"
#include "events/subject.hpp"

namespace events_test {

/// What an event acts on.
struct Scene {
  Subject& subject;
  Load& load;
};

struct Event {
  const char* name;
  /// Devices that it is for.
  std::vector<Kind> kinds;
  std::function<void(Scene&)> begin;
  /// What ends it, a moment later; empty when it is one action.
  std::function<void(Scene&)> end;
  /// Puts back, for the next event, what cannot be put back while everything is open.
  std::function<void(Subject&)> heal;
  /// The NIC that imports the buffer goes away in it.
  bool importer_leaves = false;
  /// Run only when asked for by name: the guest is not what it was afterwards.
  bool own_boot = false;
  /// So does the one that writes: its completion queue says nothing any more, an asynchronous event
  /// does.
  bool writer_leaves = false;
};

const std::vector<Event>& all_events();
/// The part of it that is changes of the device by its owner.
std::vector<Event> changes();

/// Two words each: after the beginning, and in the end. "*" in an expectation fits everything.
struct Seen {
  std::string callbacks;           ///< numbers
  std::string traffic;             ///< flows, waits, or error; "-": the importer has left
  std::string buffer;              ///< mmap of the buffer: ok, SIGBUS, none
  std::string bar;                 ///< mmap of the BAR through VFIO, likewise
  std::string state;               ///< of the buffer, "-": nobody says
  std::string data;                ///< one word: kept, changed, "-": it cannot be told
  std::string forbidden = "none";  ///< DMA that should have been impossible: none, some
};

/// Runs one event. Ends the program only when the scene cannot be set.
struct Outcome {
  Seen seen;
  std::string error;  ///< of the traffic
  std::string wrong;  ///< what no event may do: a hang, a lost write, ...
  long begin_ms = 0;
  long longest_wait_ms = 0;
  std::uint64_t naks = 0;
};
Outcome observe(const Event& event, Kind kind);

/// Nullptr: nobody has said.
const Seen* expected(const std::string& event, const std::string& driver);

}  // namespace events_test
