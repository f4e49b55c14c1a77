// SPDX-License-Identifier: BSD-2-Clause
#include "soak/connected.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "harness/threads.hpp"

namespace soak {

using namespace peermr;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

const std::chrono::seconds kDeadline{10 * guest_test::time_scale()};

std::pair<UniqueFd, UniqueFd> make_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    guest_test::give_up("cannot make a pair of sockets");
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

ConnectedStream::ConnectedStream(const ConnectedPlan& plan, Counts& counts)
    : ConnectedStream(plan, counts, make_sockets()) {}

ConnectedStream::ConnectedStream(const ConnectedPlan& plan, Counts& counts,
                                 std::pair<UniqueFd, UniqueFd> sockets)
    : plan_(plan),
      counts_(counts),
      owner_(plan.owner, std::move(sockets.first), counts),
      writer_(plan.writer, std::move(sockets.second), counts) {}

void ConnectedStream::run(const std::atomic<bool>& stop) {
  while (!stop && alive_) turn(20);
  writer_.settle();
  for (const auto end = Clock::now() + kDeadline; alive_ && !writer_.is_settled();) {
    turn(20);
    if (Clock::now() < end) continue;
    ++counts_.stuck;
    std::printf("stuck: it does not settle; %s; %s\n", owner_.describe().c_str(),
                writer_.describe().c_str());
    return;
  }
  // The last ones may have come after the owner's last turn; none is acknowledged before it has.
  if (alive_) turn(0);
  if (owner_.due() >= writer_.acknowledged()) return;
  counts_.missing += writer_.acknowledged() - owner_.due();
  std::printf("missing: the last messages; %s; %s\n", owner_.describe().c_str(),
              writer_.describe().c_str());
}

void ConnectedStream::turn(int wait_ms) {
  std::array<pollfd, 2> waits = {{{owner_.fd(), POLLIN, 0}, {writer_.fd(), POLLIN, 0}}};
  ::poll(waits.data(), waits.size(), wait_ms);
  const auto at_owner = owner_.turn();
  check_ends(at_owner, writer_.turn());
  if (const auto placed = writer_.take_placed()) check_memory(*placed);
  if (writer_.has_suspects()) wait_for_news();
}

void ConnectedStream::check_ends(const Result<void>& owner, const Result<void>& writer) {
  if (!alive_) return;
  for (const Result<void>* const end : {&owner, &writer}) {
    if (*end) continue;
    ++counts_.unexplained;
    std::printf("unexplained: %s; ", end->error().message().c_str());
    alive_ = false;
  }
  if (alive_ && writer_.is_stuck()) {
    ++counts_.stuck;
    std::printf("stuck: nothing is completed; ");
    guest_test::print_threads(::getpid(), "soak");
    alive_ = false;
  }
  if (!alive_) std::printf("%s; %s\n", owner_.describe().c_str(), writer_.describe().c_str());
}

// The memory can be looked at while nobody takes it away; there will be another time.
void ConnectedStream::check_memory(Generation generation) {
  const std::unique_lock quiet(*plan_.trouble, std::try_to_lock);
  if (!quiet) return;
  for (std::uint32_t slot = 0; slot < writer_.ledger().slots(); ++slot) {
    const auto expected = writer_.ledger().expected_in_memory(slot, generation);
    if (!expected) continue;
    Record found;
    std::memcpy(&found, plan_.memory->bytes().data() + slot * kRecordBytes, kRecordBytes);
    if (is(found, plan_.writer.number, slot, *expected)) {
      ++counts_.verified;
    } else {
      writer_.suspect(generation, slot, "in the memory");
    }
  }
}

// Whoever took the memory away has done so: what is under way may end, and nothing new begins, so
// that a later loss does not pass for this one.
void ConnectedStream::wait_for_news() {
  const std::unique_lock quiet(*plan_.trouble);
  for (const auto end = Clock::now() + kDeadline; alive_ && writer_.has_suspects();) {
    std::array<pollfd, 2> waits = {{{owner_.fd(), POLLIN, 0}, {writer_.fd(), POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), 1);
    const auto at_owner = owner_.turn();
    check_ends(at_owner, writer_.turn());
    if (Clock::now() > end) writer_.condemn();
  }
}

}  // namespace soak
