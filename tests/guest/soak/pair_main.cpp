// SPDX-License-Identifier: BSD-2-Clause
//
// Two processes with connections between them, under traffic and resets, of which one is killed at
// a random moment: the other one has to learn that its peer is gone, within bounded time, with all
// of its work completed, and to release everything.
//
//   soak_pair [--seed N] [--kills N]
//
// SOAK_DEVICES chooses the devices. Ends with a line that says what happened.

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness/lab.hpp"
#include "soak/devices.hpp"
#include "soak/participant.hpp"
#include "soak/roles.hpp"

namespace {

using namespace soak;
using namespace std::chrono_literals;
using guest_test::give_up;
using guest_test::time_scale;
using peermr::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr int kConnections = 2;
// A kill comes so late after the beginning, or after the first message.
constexpr unsigned kLatestKillMs = 700;
constexpr unsigned kOneEarlyIn = 4;

struct Account {
  unsigned owners = 0;  // that were killed
  unsigned writers = 0;
  unsigned traffic = 0;                  // kills after the first message
  std::chrono::milliseconds longest{0};  // from there to the other one's end
};

class Kills {
 public:
  explicit Kills(std::uint64_t seed) : random_(seed) {}

  void one() {
    std::vector<UniqueFd> of_owner, of_writer;
    for (int i = 0; i < kConnections; ++i) {
      auto [one, other] = make_sockets();
      of_owner.push_back(std::move(one));
      of_writer.push_back(std::move(other));
    }
    auto [traffic, announcement] = make_sockets();
    of_owner.push_back(std::move(announcement));
    Participant owner("owner", random_(), std::move(of_owner));
    Participant writer("writer", random_(), std::move(of_writer));
    if (random_() % kOneEarlyIn != 0 && !wait_for_traffic(traffic)) {
      owner.print_threads();
      writer.print_threads();
      give_up("no traffic for too long");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(
        random_() % (kLatestKillMs * static_cast<unsigned>(time_scale()))));
    const bool of_the_owner = random_() % 2 == 0;
    ++(of_the_owner ? account_.owners : account_.writers);
    kill(of_the_owner ? owner : writer, of_the_owner ? writer : owner);
  }

  const Account& account() const { return account_; }

 private:
  static std::pair<UniqueFd, UniqueFd> make_sockets() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      give_up("cannot make a pair of sockets");
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }

  // Its other end is closed by the owner.
  static bool wait_for_traffic(const UniqueFd& traffic) {
    pollfd closed{.fd = traffic.get(), .events = POLLIN, .revents = 0};
    return ::poll(&closed, 1, 60000 * time_scale()) == 1;
  }

  void kill(Participant& victim, Participant& survivor) {
    victim.kill();
    const auto killed = victim.wait(30s * time_scale());
    if (!killed) give_up(std::string("a killed ") + victim.role() + " does not end");
    if (!WIFSIGNALED(*killed)) {
      give_up(std::string("a ") + victim.role() + " ended before it was killed");
    }
    const auto begin = Clock::now();
    const auto ended = survivor.wait(30s * time_scale());
    if (!ended) {
      survivor.print_threads();
      give_up(std::string("the ") + survivor.role() + " outlives its peer for too long");
    }
    if (!WIFEXITED(*ended) ||
        (WEXITSTATUS(*ended) != kEndedWell && WEXITSTATUS(*ended) != kEndedEarly)) {
      give_up(std::string("the ") + survivor.role() + " does not end well: status " +
              std::to_string(*ended));
    }
    if (WEXITSTATUS(*ended) == kEndedWell) {
      ++account_.traffic;
      account_.longest =
          std::max(account_.longest,
                   std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin));
    }
    // What a dead process's work queues free is gone a little later.
    const auto end = begin + 10s * time_scale();
    while (buffers_left() != 0) {
      if (Clock::now() > end) give_up("buffers are left");
      std::this_thread::sleep_for(10ms);
    }
  }

  std::mt19937_64 random_;
  Account account_;
};

std::vector<UniqueFd> adopt(int count, char** numbers) {
  std::vector<UniqueFd> sockets;
  for (int i = 0; i < count; ++i) sockets.emplace_back(std::atoi(numbers[i]));
  return sockets;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc > 4 && std::strcmp(argv[1], "owner") == 0) {
    auto sockets = adopt(argc - 3, argv + 3);
    UniqueFd traffic = std::move(sockets.back());
    sockets.pop_back();
    return run_owner(std::strtoull(argv[2], nullptr, 10), std::move(sockets), std::move(traffic));
  }
  if (argc > 3 && std::strcmp(argv[1], "writer") == 0) {
    return run_writer(std::strtoull(argv[2], nullptr, 10), adopt(argc - 3, argv + 3));
  }
  std::uint64_t seed = std::random_device()();
  unsigned kills = 10;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--kills") == 0) kills = static_cast<unsigned>(std::atoi(argv[i + 1]));
  }
  std::printf("--seed %llu --kills %u\n", static_cast<unsigned long long>(seed), kills);
  Kills all(seed);
  for (unsigned i = 0; i < kills; ++i) all.one();
  const Account& account = all.account();
  std::printf(
      "%u owners and %u writers killed, %u after the first message; then the other one ended "
      "after %lld ms at most\n",
      account.owners, account.writers, account.traffic,
      static_cast<long long>(account.longest.count()));
  if (account.traffic == 0) give_up("never was there any traffic");
}
