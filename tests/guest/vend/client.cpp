// SPDX-License-Identifier: BSD-2-Clause
#include "vend/client.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <peermr/peermr.hpp>
#include <random>
#include <thread>
#include <vector>

#include "harness/lab.hpp"
#include "pnic/verbs.hpp"

namespace vend_test {
namespace {

using namespace std::chrono_literals;
using namespace peermr;
using namespace guest_test;
using pnic_test::Loopback;

volatile std::sig_atomic_t stop = 0;

void on_stop(int) {
  stop = 1;
}

class Client {
 public:
  Client(const std::string& socket, std::uint64_t seed)
      : borrower_(must(vend::Borrower::connect(socket))),
        random_(seed),
        nic_(must(verbs::Context::open(lab_bdf("LAB_NIC0")))),
        loopback_(Loopback::create(nic_.get())),
        bytes_(borrower_.vendor().slice_bytes),
        host_(2 * bytes_),
        host_mr_(
            ibv_reg_mr(loopback_.pd.get(), host_.data(), host_.size(), IBV_ACCESS_LOCAL_WRITE)),
        monitor_(must(Monitor::create())) {}

  void run() {
    while (stop == 0) {
      auto loan = borrower_.borrow({.wait = 2s});
      if (loan) {
        use(*loan);
      } else if (loan.error().code() == std::errc::connection_reset ||
                 loan.error().code().value() == ESHUTDOWN) {
        return;
      } else if (loan.error().code() != std::errc::timed_out &&
                 loan.error().code() != Errc::kRevoked) {
        give_up("borrow: " + loan.error().message());
      }
    }
  }

 private:
  bool one_in(unsigned count) { return random_() % count == 0; }

  // Whether an access that failed may have: the loan has ended, or the memory was revoked
  // meanwhile.
  bool excused(const vend::Loan& loan, std::uint64_t generation) {
    static_cast<void>(borrower_.process().has_value());
    const auto until = std::chrono::steady_clock::now() + 1s;
    while (std::chrono::steady_clock::now() < until) {
      const auto status = loan.status();
      if (!status.is_live() || status.generation != generation) return true;
      std::this_thread::sleep_for(5ms);
      static_cast<void>(borrower_.process().has_value());
    }
    return false;
  }

  ibv_sge half(std::size_t which) {
    return {.addr = reinterpret_cast<std::uint64_t>(host_.data()) + which * bytes_,
            .length = static_cast<std::uint32_t>(bytes_),
            .lkey = host_mr_->lkey};
  }

  // True when it succeeded.
  bool access(ibv_wr_opcode opcode, std::size_t which, const RegionKeys& keys) {
    const auto status =
        pnic_test::rdma(loopback_, opcode, half(which), keys.address.value(), keys.rkey.value());
    if (status != IBV_WC_SUCCESS) loopback_.reconnect();
    return status == IBV_WC_SUCCESS;
  }

  void use(vend::Loan& loan) {
    const std::uint64_t generation = loan.status().generation;
    auto region = Region::create(loopback_.pd.get(), must(loan.buffer()), {.monitor = &monitor_});
    const auto keys = region ? region->keys() : std::nullopt;
    if (!keys) {
      if (!excused(loan, generation)) {
        give_up("register: " + (region ? "no keys" : region.error().message()));
      }
      return;
    }
    std::fill(host_.begin(), host_.end(), std::uint8_t{0xee});
    if (!access(IBV_WR_RDMA_READ, 0, *keys)) return expect_excuse(loan, generation, "first read");
    if (std::any_of(host_.begin(), host_.begin() + static_cast<std::ptrdiff_t>(bytes_),
                    [](std::uint8_t byte) { return byte != 0; }) &&
        !excused(loan, generation)) {
      give_up("a slice is not zero when it is lent");
    }
    const bool overstays = one_in(4);
    if (!exchange(loan, *keys, generation, overstays)) return;
    if (overstays) {
      check_unreachable(loan, *keys);
    } else if (one_in(2)) {
      must(region->close());
      const auto given = loan.give_back(10s * time_scale());
      if (!given && given.error().code() != std::errc::connection_reset) must(given);
    }
  }

  void expect_excuse(const vend::Loan& loan, std::uint64_t generation, const char* what) {
    if (!excused(loan, generation)) give_up(std::string(what) + " of a live loan failed");
  }

  // False: something failed, with an excuse.
  bool exchange(vend::Loan& loan, const RegionKeys& keys, std::uint64_t generation,
                bool overstays) {
    const auto rounds = 1 + random_() % 30;
    for (std::uint64_t i = 0; overstays ? loan.status().is_live() : i < rounds; ++i) {
      for (std::size_t k = 0; k < bytes_; ++k) {
        host_[k] = static_cast<std::uint8_t>(k * 7 + i + static_cast<std::size_t>(::getpid()) + 1);
      }
      if (!access(IBV_WR_RDMA_WRITE, 0, keys) || !access(IBV_WR_RDMA_READ, 1, keys)) {
        expect_excuse(loan, generation, "an access");
        if (overstays) break;
        return false;
      }
      const auto middle = host_.begin() + static_cast<std::ptrdiff_t>(bytes_);
      if (!std::equal(host_.begin(), middle, middle)) {
        if (!excused(loan, generation)) give_up("somebody else writes into this slice");
        return overstays;
      }
      if (!overstays && one_in(5) && !loan.renew()) {
        expect_excuse(loan, generation, "a renewal");
        return false;
      }
    }
    return true;
  }

  // The memory region is still registered, and its keys are known.
  void check_unreachable(const vend::Loan& loan, const RegionKeys& keys) {
    std::uint64_t taken = 0;
    while (taken != loan.number()) {
      pollfd entry{STDIN_FILENO, POLLIN, 0};
      ssize_t got = -1;
      if (::poll(&entry, 1, 30000 * time_scale()) == 1) {
        got = ::read(STDIN_FILENO, &taken, sizeof(taken));
      }
      if (got != sizeof(taken)) {
        if (stop != 0 || got == 0) return;  // got 0: there is nobody who would say so
        give_up("a loan that is overdue is not taken back");
      }
    }
    for (int i = 0; i < 5; ++i) {
      for (const auto opcode : {IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ}) {
        if (access(opcode, 0, keys)) give_up("a loan that was taken back still gives access");
      }
    }
    std::puts("unreachable");
    std::fflush(stdout);
  }

  vend::Borrower borrower_;
  std::mt19937_64 random_;
  verbs::Context nic_;
  Loopback loopback_;
  std::size_t bytes_;
  std::vector<std::uint8_t> host_;
  pnic_test::Mr host_mr_;
  Monitor monitor_;
};

}  // namespace

int run_client(const std::string& socket, std::uint64_t seed) {
  struct sigaction action = {};
  action.sa_handler = on_stop;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  // See Child: it was blocked.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  sigprocmask(SIG_UNBLOCK, &end, nullptr);
  Client(socket, seed).run();
  return 0;
}

}  // namespace vend_test
