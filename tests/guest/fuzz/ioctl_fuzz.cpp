// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz/ioctl_fuzz.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "fuzz/structure.hpp"

namespace fuzz {
namespace {

using Clock = std::chrono::steady_clock;

// One in so many structures goes unspoiled, and one in so many is at a bad address.
constexpr unsigned kGoodOneIn = 3;
constexpr unsigned kBadAddressOneIn = 24;

[[noreturn]] void usage(const char* program) {
  std::fprintf(stderr, "usage: %s [--seed N] [--seconds N] [--threads N]\n", program);
  std::exit(2);
}

/// Descriptors by kind. Shared by all threads: one may be closed while another one calls it.
class Pools {
 public:
  Pools(std::map<std::string, std::vector<int>> fixed, std::size_t limit)
      : fixed_(std::move(fixed)), limit_(limit) {}

  std::optional<int> any(Random& random, const std::string& pool) {
    const std::lock_guard lock(mutex_);
    const auto& fixed = fixed_[pool];
    const auto& made = made_[pool];
    const std::size_t count = fixed.size() + made.size();
    if (count == 0) return std::nullopt;
    const std::size_t index = random() % count;
    return index < fixed.size() ? fixed[index] : made[index - fixed.size()];
  }

  int of_any_kind(Random& random) {
    std::string pool;
    {
      const std::lock_guard lock(mutex_);
      auto entry = fixed_.begin();
      if (entry == fixed_.end()) return -1;
      std::advance(entry, static_cast<std::ptrdiff_t>(random() % fixed_.size()));
      pool = entry->first;
    }
    return any(random, pool).value_or(-1);
  }

  void add(Random& random, const std::string& pool, int fd) {
    int victim = -1;
    {
      const std::lock_guard lock(mutex_);
      auto& made = made_[pool];
      made.push_back(fd);
      if (made.size() > limit_) victim = take(random, made);
    }
    if (victim >= 0) ::close(victim);
  }

  void close_any(Random& random) {
    int victim = -1;
    {
      const std::lock_guard lock(mutex_);
      if (made_.empty()) return;
      auto entry = made_.begin();
      std::advance(entry, static_cast<std::ptrdiff_t>(random() % made_.size()));
      if (!entry->second.empty()) victim = take(random, entry->second);
    }
    if (victim >= 0) ::close(victim);
  }

  void close_all() {
    for (auto& [name, made] : made_)
      for (const int fd : made) ::close(fd);
    made_.clear();
  }

 private:
  static int take(Random& random, std::vector<int>& fds) {
    std::swap(fds[random() % fds.size()], fds.back());
    const int fd = fds.back();
    fds.pop_back();
    return fd;
  }

  std::mutex mutex_;
  std::map<std::string, std::vector<int>> fixed_;
  std::map<std::string, std::vector<int>> made_;
  std::size_t limit_;
};

/// What a thread is doing, for the one that interrupts it.
struct Worker {
  std::atomic<const char*> busy_with = nullptr;
  std::atomic<Clock::rep> since = 0;
  std::atomic<bool> over = false;
  std::thread thread;
};

std::uint64_t fd_value(Random& random, Pools& pools, const Field& field, bool good) {
  const auto right = [&] {
    return static_cast<std::uint64_t>(pools.any(random, field.pool).value_or(-1));
  };
  if (good) return right();
  switch (random() % 5) {
    case 0:
      return right();
    case 1:
      return static_cast<std::uint64_t>(pools.of_any_kind(random));
    case 2:
      return random() % 64;  // whatever it is
    case 3:
      return 1'000'000;
    default:
      return boundary_value(random);
  }
}

std::uint64_t spoiled_value(Random& random, Pools& pools, const GuardedPage& page,
                            const Call& call, const Field& field) {
  switch (field.kind) {
    case Kind::kSize:
      return random() % 2 == 0 ? call.bytes + random() % 17 - 8 : boundary_value(random);
    case Kind::kFd:
      return fd_value(random, pools, field, false);
    case Kind::kPointer:
      return reinterpret_cast<std::uintptr_t>(page.bad_address(random));
    case Kind::kValue:
      break;
  }
  if (!field.hints.empty() && random() % 2 == 0) return field.hints[random() % field.hints.size()];
  return boundary_value(random);
}

void* make_structure(Random& random, Pools& pools, GuardedPage& page, const Call& call) {
  void* structure = page.end(call.bytes);
  for (const Field& field : call.fields) {
    if (field.kind == Kind::kSize) store(structure, field, call.bytes);
    if (field.kind == Kind::kFd) store(structure, field, fd_value(random, pools, field, true));
  }
  if (call.fill) call.fill(random, structure);
  if (!call.fields.empty() && random() % kGoodOneIn != 0) {
    for (std::uint64_t count = 1 + random() % 3; count > 0; --count) {
      const Field& field = call.fields[random() % call.fields.size()];
      store(structure, field, spoiled_value(random, pools, page, call, field));
    }
  }
  return random() % kBadAddressOneIn == 0 ? page.bad_address(random) : structure;
}

}  // namespace

Options parse_options(int argc, char** argv, Options defaults) {
  Options options = defaults;
  if (options.seed == 0) options.seed = std::random_device()();
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) usage(argv[0]);
    char* end = nullptr;
    if (name == "--seed") {
      options.seed = std::strtoull(argv[i + 1], &end, 0);
    } else if (name == "--seconds") {
      options.seconds = std::strtod(argv[i + 1], &end);
    } else if (name == "--threads") {
      options.threads = static_cast<unsigned>(std::strtoul(argv[i + 1], &end, 0));
    }
    if (end == nullptr || end == argv[i + 1] || *end != '\0' || options.threads == 0)
      usage(argv[0]);
  }
  std::printf("--seed %llu --seconds %g --threads %u\n",
              static_cast<unsigned long long>(options.seed), options.seconds, options.threads);
  std::fflush(stdout);
  return options;
}

struct Fuzzer::State {
  explicit State(const Fuzzer& fuzzer)
      : pools(fuzzer.fixed_, fuzzer.options_.pool_limit),
        workers(fuzzer.options_.threads),
        outcomes(fuzzer.calls_.size()) {
    for (std::size_t i = 0; i < fuzzer.calls_.size(); ++i)
      weights.insert(weights.end(), fuzzer.calls_[i].weight, i);
  }

  void work(const Fuzzer& fuzzer, Worker& worker, std::uint64_t seed);
  void one(const Call& call, std::size_t index, Worker& worker, Random& random, GuardedPage& page);
  void supervise(const Options& options);

  Pools pools;
  std::vector<Worker> workers;
  std::vector<std::size_t> weights;
  std::atomic<bool> done = false;
  std::mutex mutex;  ///< protects outcomes
  std::vector<std::map<int, std::uint64_t>> outcomes;
};

void Fuzzer::add_fd(const std::string& pool, int fd) {
  fixed_[pool].push_back(fd);
}

void Fuzzer::add_action(const std::string& name, unsigned weight,
                        std::function<void(Random&)> action) {
  Call call{};
  call.name = name;
  call.weight = weight;
  call.bytes = 0;
  call.fill = [action = std::move(action)](Random& random, void*) { action(random); };
  calls_.push_back(std::move(call));
}

void Fuzzer::State::one(const Call& call, std::size_t index, Worker& worker, Random& random,
                        GuardedPage& page) {
  int result = 0;
  int error = 0;
  worker.since = Clock::now().time_since_epoch().count();
  worker.busy_with = call.name.c_str();
  if (call.target.empty()) {
    call.fill(random, nullptr);
  } else {
    const auto fd = pools.any(random, call.target);
    if (!fd) {
      worker.busy_with = nullptr;
      return;
    }
    void* structure = make_structure(random, pools, page, call);
    result = call.issue ? call.issue(*fd, call.request, structure)
                        : ::ioctl(*fd, call.request, structure);
    error = result < 0 ? errno : 0;
  }
  worker.busy_with = nullptr;
  if (result >= 0 && !call.makes.empty()) pools.add(random, call.makes, result);
  const std::lock_guard lock(mutex);
  ++outcomes[index][error];
}

void Fuzzer::State::work(const Fuzzer& fuzzer, Worker& worker, std::uint64_t seed) {
  Random random(seed);
  GuardedPage page;
  while (!done) {
    const std::size_t index = weights[random() % weights.size()];
    one(fuzzer.calls_[index], index, worker, random, page);
    if (random() % 16 == 0) pools.close_any(random);
  }
  worker.over = true;
}

/// Interrupts what takes long. Threads that are stuck cannot be joined: then the program ends.
void Fuzzer::State::supervise(const Options& options) {
  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  const auto stuck = end + std::chrono::seconds(options.stuck_seconds);
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto now = Clock::now();
    if (now >= end) done = true;
    bool over = true;
    for (Worker& worker : workers) {
      if (worker.over) continue;
      over = false;
      const char* name = worker.busy_with;
      if (name == nullptr) continue;
      const Clock::time_point since{Clock::duration(worker.since)};
      if (now - since > std::chrono::milliseconds(options.interrupt_ms))
        ::pthread_kill(worker.thread.native_handle(), SIGUSR1);
      if (now >= stuck) {
        std::printf("FAILED: stuck in %s\n", name);
        std::fflush(stdout);
        std::_Exit(1);
      }
    }
    if (over) return;
  }
}

void Fuzzer::print(const State& state) const {
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    std::printf("%-20s", calls_[i].name.c_str());
    for (const auto& [error, count] : state.outcomes[i])
      std::printf("  %s %llu", error == 0 ? "ok" : ::strerrorname_np(error),
                  static_cast<unsigned long long>(count));
    std::printf("\n");
  }
}

bool Fuzzer::run() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);

  State state(*this);
  Random random(options_.seed);
  for (Worker& worker : state.workers)
    worker.thread = std::thread([this, &state, &worker, seed = random()] {
      state.work(*this, worker, seed);
    });
  state.supervise(options_);
  for (Worker& worker : state.workers) worker.thread.join();
  state.pools.close_all();
  print(state);
  bool deep = true;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].weight == 0 || state.outcomes[i].contains(0)) continue;
    std::printf("%s never succeeded\n", calls_[i].name.c_str());
    deep = false;
  }
  return deep;
}

}  // namespace fuzz
