// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/exit_code.hpp"
#include "base/signals.hpp"
#include "base/units.hpp"
#include "peermr/borrow.hpp"
#include "vend/child.hpp"
#include "vend/commands.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Signals and the end of the command are looked at this often.
constexpr auto kTick = 50ms;

struct BorrowCommandOptions {
  std::string socket;
  std::string bytes;
  std::string lease;
  std::string wait;
  std::string time;
  std::vector<std::string> command;
  bool no_renew = false;
  bool json = false;
};

template <typename T>
T checked(const char* option, Result<T> value) {
  if (!value) throw CLI::ValidationError(option, value.error().message());
  return *std::move(value);
}

std::chrono::milliseconds optional_time(const char* option, const std::string& text) {
  return text.empty() ? 0ms : checked(option, parse_duration(text));
}

/// Says what becomes of the loan; when a command runs, where its output does not go.
class Reporter {
 public:
  Reporter(const BorrowCommandOptions& options, std::string name)
      : out_(options.command.empty() ? stdout : stderr),
        json_(options.json),
        name_(std::move(name)) {}

  void borrowed(const vend::Loan& loan, std::uint64_t generation,
                std::chrono::milliseconds lease_time) const {
    say({{"event", "borrowed"},
         {"name", name_},
         {"slice", loan.slice()},
         {"bytes", loan.size_bytes()},
         {"loan", loan.number()},
         {"generation", generation},
         {"lease_ms", lease_time.count()}},
        fmt::format("{}: {}, loan {}, generation {}, lease {}", name_,
                    format_bytes(loan.size_bytes()), loan.number(), generation,
                    format_duration(lease_time)));
  }
  void generation(std::uint64_t generation) const {
    say({{"event", "generation"}, {"generation", generation}},
        fmt::format("{}: generation {}: the memory was revoked, content may be lost", name_,
                    generation));
  }
  void ended(vend::LoanEnd why) const {
    say({{"event", "ended"}, {"why", to_string(why)}},
        fmt::format("{}: the loan ended: {}", name_, to_string(why)));
  }

 private:
  void say(const nlohmann::json& json, const std::string& text) const {
    fmt::print(out_, "{}\n",
               json_ ? json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) : text);
    std::fflush(out_);
  }

  std::FILE* const out_;
  const bool json_;
  const std::string name_;
};

Result<Child> start_command(const std::vector<std::string>& command, const vend::Loan& loan,
                            const std::string& name, std::uint64_t generation) {
  return Child::start(command, loan.fd(),
                      {{"PEERMR_LOAN_FD", std::to_string(loan.fd())},
                       {"PEERMR_LOAN_BYTES", std::to_string(loan.size_bytes())},
                       {"PEERMR_LOAN_NAME", name},
                       {"PEERMR_LOAN_NUMBER", std::to_string(loan.number())},
                       {"PEERMR_LOAN_GENERATION", std::to_string(generation)}});
}

/// Holds a loan until there is no reason to any more: its end, ours, the command's.
class Holder {
 public:
  Holder(vend::Borrower& borrower, vend::Loan& loan, const Reporter& reporter,
         const BorrowCommandOptions& options, std::optional<Child> child)
      : borrower_(borrower),
        loan_(loan),
        reporter_(reporter),
        status_(loan.status()),
        child_(std::move(child)) {
    const auto time = optional_time("--for", options.time);
    if (time > 0ms) end_ = Clock::now() + time;
    if (!options.no_renew) renew_every_ = (status_.expires - Clock::now()) / 3;
    renew_at_ = Clock::now() + renew_every_;
  }

  ExitCode hold() {
    while (true) {
      if (child_) {
        if (const auto status = child_->ended()) return give_back(static_cast<ExitCode>(*status));
      }
      if (stop_requested() || Clock::now() >= end_) return finish();
      wait();
      if (!look()) return lost();
    }
  }

 private:
  void wait() {
    pollfd entry{borrower_.fd(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(kTick.count()));
  }

  // False: the loan is over.
  bool look() {
    // What goes wrong shows in the loan's status.
    static_cast<void>(borrower_.process().has_value());
    if (renew_every_ > Clock::duration(0) && Clock::now() >= renew_at_) {
      static_cast<void>(loan_.renew().has_value());
      renew_at_ = Clock::now() + renew_every_;
    }
    const auto now = loan_.status();
    if (now.generation != status_.generation) reporter_.generation(now.generation);
    status_ = now;
    return status_.is_live();
  }

  ExitCode lost() {
    reporter_.ended(status_.end != vend::LoanEnd::kNone ? status_.end : vend::LoanEnd::kOverdue);
    end_command();
    return kFailure;
  }

  ExitCode finish() {
    end_command();
    return give_back(kSuccess);
  }

  void end_command() {
    if (child_) child_->ask_to_end();
    child_.reset();
  }

  ExitCode give_back(ExitCode status) {
    if (const auto back = loan_.give_back(); !back) {
      report_error(back.error());
      return status == kSuccess ? kFailure : status;
    }
    return status;
  }

  vend::Borrower& borrower_;
  vend::Loan& loan_;
  const Reporter& reporter_;
  vend::LoanStatus status_;
  std::optional<Child> child_;
  Clock::time_point end_ = Clock::time_point::max();
  Clock::duration renew_every_{};  // 0: never
  Clock::time_point renew_at_;
};

ExitCode run_borrow(const BorrowCommandOptions& options) {
  vend::BorrowOptions wanted;
  wanted.lease_time = optional_time("--lease", options.lease);
  wanted.wait = optional_time("--wait", options.wait);
  if (!options.bytes.empty()) wanted.min_bytes = checked("--bytes", parse_bytes(options.bytes));
  optional_time("--for", options.time);
  auto borrower = vend::Borrower::connect(options.socket);
  if (!borrower) return report_error(borrower.error());
  auto loan = borrower->borrow(wanted);
  if (!loan) return report_error(loan.error());
  // Not before: a signal ends the wait for a slice, and the connection with it.
  catch_stop_signals();
  const auto status = loan->status();
  const std::string name = fmt::format("{} slice {}", borrower->vendor().name, loan->slice());
  const Reporter reporter(options, name);
  const auto longest = borrower->vendor().lease_time;
  reporter.borrowed(*loan, status.generation,
                    wanted.lease_time > 0ms ? std::min(wanted.lease_time, longest) : longest);
  std::optional<Child> child;
  if (!options.command.empty()) {
    auto started = start_command(options.command, *loan, name, status.generation);
    if (!started) return report_error(started.error());
    child.emplace(*std::move(started));
  }
  return Holder(*borrower, *loan, reporter, options, std::move(child)).hold();
}

}  // namespace

void add_borrow_command(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand(
      "borrow", "borrow a slice from a peermr vend, for a command or until a signal");
  auto options = std::make_shared<BorrowCommandOptions>();
  command->add_option("--socket", options->socket, "the vendor's socket")->required();
  command->add_option("--bytes", options->bytes, "the slice has at least so many");
  command->add_option("--lease", options->lease,
                      "lease time: 500ms, 30s, 5m (default: the longest that the vendor gives)");
  command->add_option("--wait", options->wait, "so long for a slice to become free (default: not)");
  command->add_option("--for", options->time, "give it back after so long");
  command->add_flag("--no-renew", options->no_renew, "let the lease run out");
  command->add_flag("--json", options->json, "a line of JSON for each event");
  command->add_option("COMMAND", options->command,
                      "after --: what to run with the slice's descriptor open, its number in "
                      "PEERMR_LOAN_FD");
  command->footer(std::string("With a COMMAND, its exit status is ours, unless the loan ends "
                              "before it does.\n") +
                  kExitCodeHelp);
  command->callback([options, &status] { status = run_borrow(*options); });
}

}  // namespace peermr::tool
