// SPDX-License-Identifier: BSD-2-Clause
//
// Everything at once on a device under peermr_vfio: threads export, mmap, register, transfer,
// reset, revoke, re-arm, switch decode and power, watch and close, in random order, interrupted now
// and then. Every few seconds the device is closed below them. The kernel's own checks judge, and
// the script that looks at what is left; here, only that nothing is stuck and that everything
// worked sometimes.
//
//   exporter_stress [--seed N] [--seconds N] [--threads N]

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "fuzz/ioctl_fuzz.hpp"
#include "stress/actions.hpp"

namespace {

using namespace stress;
using Clock = std::chrono::steady_clock;

constexpr double kRoundSeconds = 4;
// A call that goes on for so long after its round's end is stuck.
constexpr unsigned kStuckSeconds = 30;

using Outcomes = std::vector<std::map<int, std::uint64_t>>;

/// A worker and the thread that it has for a round.
struct Runner {
  Runner(World& world, std::uint64_t seed) : worker(world, seed), outcomes(actions().size()) {}

  Worker worker;
  Outcomes outcomes;
  std::atomic<const char*> busy_with = nullptr;
  std::atomic<bool> over = false;
  std::thread thread;
};

void set_interruptible(bool on) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &signals, nullptr);
}

void run_round(Runner& runner, const std::vector<std::size_t>& choices,
               const std::atomic<bool>& done) {
  set_interruptible(false);
  while (!done) {
    const std::size_t index = choices[runner.worker.random() % choices.size()];
    const Action& action = actions()[index];
    runner.busy_with = action.name;
    // libibverbs and libc, elsewhere, are not made for signals at any moment.
    if (action.interruptible) set_interruptible(true);
    const int result = action.run(runner.worker);
    if (action.interruptible) set_interruptible(false);
    ++runner.outcomes[index][-result];
  }
  runner.over = true;
}

[[noreturn]] void stuck(const char* name) {
  std::printf("FAILED: stuck in: %s\n", name != nullptr ? name : "between actions");
  std::fflush(stdout);
  std::_Exit(1);
}

using Runners = std::vector<std::unique_ptr<Runner>>;

void supervise(Runners& runners, double seconds, std::atomic<bool>& done, Random& random) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  const auto too_late = end + std::chrono::seconds(kStuckSeconds);
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto now = Clock::now();
    if (now >= end) done = true;
    Runner& chosen = *runners[random() % runners.size()];
    if (!chosen.over) pthread_kill(chosen.thread.native_handle(), SIGUSR1);
    bool over = true;
    for (const auto& runner : runners) {
      if (runner->over) continue;
      over = false;
      if (now >= too_late) stuck(runner->busy_with);
    }
    if (over) return;
  }
}

void one_round(Runners& runners, double seconds, Random& random) {
  static const std::vector<std::size_t> choices = [] {
    std::vector<std::size_t> made;
    for (std::size_t i = 0; i < actions().size(); ++i)
      made.insert(made.end(), actions()[i].weight, i);
    return made;
  }();
  std::atomic<bool> done = false;
  for (auto& runner : runners) {
    runner->over = false;
    runner->thread = std::thread([&runner = *runner, &done] { run_round(runner, choices, done); });
  }
  supervise(runners, seconds, done, random);
  for (auto& runner : runners) runner->thread.join();
}

/// Prints what came of each action. False when one of them never worked.
bool report(const Runners& runners) {
  bool all_worked = true;
  for (std::size_t i = 0; i < actions().size(); ++i) {
    std::map<int, std::uint64_t> sum;
    for (const auto& runner : runners)
      for (const auto& [error, count] : runner->outcomes[i]) sum[error] += count;
    std::printf("%-16s", actions()[i].name);
    for (const auto& [error, count] : sum)
      std::printf("  %s %llu", error == 0 ? "ok" : ::strerrorname_np(error),
                  static_cast<unsigned long long>(count));
    std::printf("\n");
    if (sum[0] == 0) {
      std::printf("FAILED: %s never worked\n", actions()[i].name);
      all_worked = false;
    }
  }
  return all_worked;
}

}  // namespace

int main(int argc, char** argv) {
  const fuzz::Options options =
      fuzz::parse_options(argc, argv, {.seconds = 20, .threads = 4});
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  const rlimit files{4096, 4096};
  ::setrlimit(RLIMIT_NOFILE, &files);
  set_interruptible(false);

  Random random(options.seed);
  World world;
  world.bar = static_cast<std::uint32_t>(exporter_test::lab_number("LAB_PMR_BAR"));
  Runners runners;
  for (unsigned i = 0; i < options.threads; ++i)
    runners.push_back(std::make_unique<Runner>(world, (random() & ~1ull) | (i & 1)));

  const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
  unsigned rounds = 0;
  for (; Clock::now() < end; ++rounds) {
    exporter_test::Device device(exporter_test::lab("LAB_NVME"));
    put_in_order(device);
    world.device = &device;
    one_round(runners, std::min(kRoundSeconds, options.seconds), random);
    put_in_order(device);
    for (auto& runner : runners) runner->worker.bar_mappings.clear();
    // Its buffers, their mappings and MRs outlive it, and meet the next one.
  }
  std::printf("%u rounds\n", rounds);
  return report(runners) ? 0 : 1;
}
