// SPDX-License-Identifier: BSD-2-Clause
//
// The protocol of leases (base/read_section.hpp), as a model of which all interleavings are
// walked: two readers with two sections each, a writer who replaces the keys twice.
//
// The machine: each reader's stores wait in a buffer and reach memory in order, at any time. Loads
// may be executed before older stores of their reader; with weak ordering, before older loads too
// unless these are acquire. A membarrier makes each reader stop between two instructions: what is
// older has been executed and is in memory, what is younger has not been executed.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace {

constexpr int kReaders = 2;
constexpr int kSections = 2;
constexpr int kReplacements = 2;

// What can be left out of the protocol; each must be found out.
struct Flaws {
  bool no_barrier = false;   // the writer does not make the readers fence
  bool no_acquire = false;   // the epoch is loaded with relaxed ordering
  bool early_epoch = false;  // the writer begins the new epoch before it takes the keys back
  bool no_waiting = false;   // the writer does not look at the slots
};

struct Reader {
  std::uint8_t sections = 0;  // done
  // Instructions of the current section that were executed.
  bool loaded_epoch = false, stored_slot = false, loaded_keys = false, used = false;
  std::uint8_t epoch = 0, keys = 0;
  std::uint8_t slot = 0;  // in memory
  std::uint8_t buffered = 0;
  std::array<std::uint8_t, 2 * kSections> buffer{};  // stores to the slot, oldest first
};

struct Writer {
  std::uint8_t replacements = 0;  // done
  std::uint8_t step = 0;
  std::uint8_t fenced = 0;  // readers that the barrier has stopped, slots that were looked at
  std::uint8_t epoch = 0;   // the new one
};

struct State {
  std::array<Reader, kReaders> readers;
  Writer writer;
  std::uint8_t published = 1;  // keys; 0: none
  std::uint8_t current = 1;
  std::uint8_t freed = 0;  // keys up to this one
  std::uint8_t epoch = 1;
};

class Model {
 public:
  explicit Model(const Flaws& flaws) : flaws_(flaws) {}

  /// Walks all states. False once a reader uses keys that were freed, or nothing can go on though
  /// not all is done.
  bool holds() {
    visit(State{});
    while (!open_.empty() && !violated_) {
      const State state = open_.back();
      open_.pop_back();
      const std::size_t before = ways_;
      for (int i = 0; i < kReaders; ++i) step_reader(state, i);
      step_writer(state);
      if (ways_ == before && !is_done(state)) violated_ = true;
    }
    return !violated_;
  }
  std::size_t states() const { return seen_.size(); }

 private:
  void visit(const State& state) {
    ++ways_;
    std::string bytes(sizeof(State), '\0');
    std::memcpy(bytes.data(), &state, sizeof(State));
    if (seen_.insert(std::move(bytes)).second) open_.push_back(state);
  }

  static bool is_done(const State& state) {
    for (const Reader& reader : state.readers) {
      if (reader.sections != kSections || reader.buffered != 0) return false;
    }
    return state.writer.replacements == kReplacements;
  }

  static void drain_one(Reader& reader) {
    reader.slot = reader.buffer[0];
    for (std::size_t i = 1; i < reader.buffered; ++i) reader.buffer[i - 1] = reader.buffer[i];
    reader.buffer[--reader.buffered] = 0;
  }

  void step_reader(const State& state, int index) {
    const auto i = static_cast<std::size_t>(index);
    const Reader& now = state.readers[i];
    if (now.buffered != 0) {
      State next = state;
      drain_one(next.readers[i]);
      visit(next);
    }
    if (now.sections == kSections) return;
    if (!now.loaded_epoch) {
      State next = state;
      next.readers[i].loaded_epoch = true;
      next.readers[i].epoch = state.epoch;
      visit(next);
    }
    if (now.loaded_epoch && !now.stored_slot) {
      State next = state;
      Reader& reader = next.readers[i];
      reader.stored_slot = true;
      reader.buffer[reader.buffered++] = now.epoch;
      visit(next);
    }
    // A load need not wait for the store before it.
    if (!now.loaded_keys && (now.loaded_epoch || flaws_.no_acquire)) {
      State next = state;
      next.readers[i].loaded_keys = true;
      next.readers[i].keys = state.published;
      visit(next);
    }
    if (now.loaded_keys && now.stored_slot && !now.used) {
      if (now.keys != 0 && now.keys <= state.freed) violated_ = true;
      State next = state;
      next.readers[i].used = true;
      visit(next);
    }
    if (now.used) {
      State next = state;
      Reader& reader = next.readers[i];
      reader.buffer[reader.buffered++] = 0;
      reader.loaded_epoch = reader.stored_slot = reader.loaded_keys = reader.used = false;
      reader.epoch = reader.keys = 0;
      ++reader.sections;
      visit(next);
    }
  }

  // Stopped between two instructions: a load that ran ahead of those before it is done again.
  static void stop(Reader& reader) {
    while (reader.buffered != 0) drain_one(reader);
    if (!reader.stored_slot && reader.loaded_keys) {
      reader.loaded_keys = false;
      reader.keys = 0;
    }
  }

  // Steps 0 to 4: take the keys back, begin an epoch, barrier, wait for the slots, free and publish.
  void step_writer(const State& state) {
    const Writer& now = state.writer;
    if (now.replacements == kReplacements) return;
    State next = state;
    Writer& writer = next.writer;
    if (now.step == (flaws_.early_epoch ? 1 : 0)) {
      next.published = 0;
      ++writer.step;
    } else if (now.step == (flaws_.early_epoch ? 0 : 1)) {
      writer.epoch = ++next.epoch;
      ++writer.step;
    } else if (now.step == 2) {
      if (!flaws_.no_barrier) stop(next.readers[now.fenced]);
      if (++writer.fenced == kReaders || flaws_.no_barrier) {
        writer.fenced = 0;
        ++writer.step;
      }
    } else if (now.step == 3) {
      const std::uint8_t slot = state.readers[now.fenced].slot;
      if (!flaws_.no_waiting && slot != 0 && slot < now.epoch) return;
      if (++writer.fenced == kReaders) {
        writer.fenced = 0;
        ++writer.step;
      }
    } else {
      next.freed = state.current;
      next.published = next.current = static_cast<std::uint8_t>(state.current + 1);
      writer = {.replacements = static_cast<std::uint8_t>(now.replacements + 1)};
    }
    visit(next);
  }

  const Flaws flaws_;
  std::unordered_set<std::string> seen_;
  std::vector<State> open_;
  std::size_t ways_ = 0;
  bool violated_ = false;
};

static_assert(std::has_unique_object_representations_v<State>, "states are compared by their bytes");

TEST(LeaseModel, NoInterleavingUsesFreedKeysOrGetsStuck) {
  Model model({});
  EXPECT_TRUE(model.holds());
  EXPECT_GT(model.states(), 1000u);
  RecordProperty("states", std::to_string(model.states()));
}

TEST(LeaseModel, WithoutTheBarrierItFails) {
  EXPECT_FALSE(Model({.no_barrier = true}).holds());
}

TEST(LeaseModel, WithoutAcquireItFailsOnWeaklyOrderedMachines) {
  EXPECT_FALSE(Model({.no_acquire = true}).holds());
}

TEST(LeaseModel, WithTheEpochBegunBeforeTheKeysAreTakenBackItFails) {
  EXPECT_FALSE(Model({.early_epoch = true}).holds());
}

TEST(LeaseModel, WithoutWaitingItFails) {
  EXPECT_FALSE(Model({.no_waiting = true}).holds());
}

}  // namespace
