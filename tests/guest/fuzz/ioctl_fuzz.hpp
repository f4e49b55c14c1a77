// SPDX-License-Identifier: BSD-2-Clause
//
// A seeded, time-bounded fuzzer for ioctls that take a structure. A target describes its calls: the
// structure, where its fields are, and how to fill it so that the call succeeds. The fuzzer starts
// from such a good one, spoils some fields with boundary values, descriptors of the right and the
// wrong kind and bad sizes, hands it over at the end of a page or at an address that isn't there,
// and keeps the descriptors that come out to call those in turn and to close them at bad moments.
// Several threads do so at once, on the same descriptors; a call that takes long gets a signal.
//
// A call may return any result: the kernel's own checks (splats, stuck tasks, KASAN) judge, and what
// the target asks afterwards, such as that nothing is left open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace fuzz {

using Random = std::mt19937_64;

/// What a field means, which decides what is tried in it.
enum class Kind {
  kValue,    ///< boundary values, random ones, and `Field::hints`
  kSize,     ///< of the structure: around its sizeof
  kFd,       ///< a descriptor: of pool `Field::pool`, of another one, closed, a regular file's
  kPointer,  ///< to user memory: bad addresses; good ones are for `Call::fill`
};

struct Field {
  std::size_t offset;
  std::size_t bytes;  ///< 1, 2, 4 or 8
  Kind kind = Kind::kValue;
  std::vector<std::uint64_t> hints = {};
  std::string pool = {};
};

struct Call {
  std::string name;
  std::string target;  ///< pool of the descriptors it is called on
  unsigned long request;
  std::size_t bytes;  ///< of the structure
  std::vector<Field> fields;
  /// Makes a structure of zeros a good one, but for kSize and kFd fields, which are good already.
  std::function<void(Random&, void*)> fill = {};
  /// Where the descriptor that it returns belongs; empty: it returns none.
  std::string makes = {};
  /// How it is called, when ioctl(fd, request, arg) is not it: as ioctl(2) returns.
  std::function<int(int fd, unsigned long request, void* arg)> issue = {};
  /// How often, compared with others; 0: only by hand.
  unsigned weight = 10;
};

struct Options {
  std::uint64_t seed = 0;
  double seconds = 10;
  unsigned threads = 2;
  /// Descriptors that a pool holds at most; one more takes a random one's place.
  std::size_t pool_limit = 32;
  /// A call that takes longer is interrupted, again and again.
  unsigned interrupt_ms = 100;
  /// A call that goes on for so long after the end fails the run.
  unsigned stuck_seconds = 15;
};

/// --seed N, --seconds N, --threads N; chooses a seed where none is given, and prints it. Ends the
/// program with status 2 on anything else.
Options parse_options(int argc, char** argv, Options defaults = {});

class Fuzzer {
 public:
  explicit Fuzzer(Options options) : options_(options) {}

  /// A descriptor that stays open throughout. Borrowed.
  void add_fd(const std::string& pool, int fd);
  void add_call(Call call) { calls_.push_back(std::move(call)); }
  /// Something else that happens now and then: resets, mappings, closing.
  void add_action(const std::string& name, unsigned weight, std::function<void(Random&)> action);

  /// Fuzzes, prints how often each call was made and what came of it, and closes what was made.
  /// False when a call never succeeded: then the fuzzing was shallow. Does not return when a call is
  /// stuck: the program ends with status 1.
  bool run();

 private:
  struct State;

  void print(const State& state) const;

  Options options_;
  std::vector<Call> calls_;
  std::map<std::string, std::vector<int>> fixed_;
};

}  // namespace fuzz
