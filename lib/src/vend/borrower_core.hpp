// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "peermr/borrow.hpp"
#include "vend/wire.hpp"

namespace peermr::vend {

/// One connection to a vendor: asks, and keeps what it says of its own accord. Thread-safe: of the
/// threads that wait for answers one reads, for all.
class Borrower::Core {
 public:
  using Clock = std::chrono::steady_clock;

  struct Answer {
    Notice notice;
    UniqueFd descriptor;  ///< kLent
  };

  [[nodiscard]] static Result<std::shared_ptr<Core>> connect(const std::string& path,
                                                             std::chrono::milliseconds limit);
  Core(UniqueFd fd, std::string path, const Notice& greeting);

  [[nodiscard]] const VendorInfo& vendor() const noexcept { return vendor_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// Sends the request, with a number of its own, and waits for its answer. A refusal is an error,
  /// which begins with `operation`.
  [[nodiscard]] Result<Answer> ask(Request request, std::string_view operation,
                                   std::chrono::milliseconds limit);
  /// Reads what is there. Does not block.
  Result<void> process();

  [[nodiscard]] LoanStatus status(std::uint64_t loan) const;
  /// The loan is over, if it was not before.
  void set_end(std::uint64_t loan, LoanEnd why);
  /// Nobody asks for this loan any more; it is given back unless it has ended.
  void forget(std::uint64_t loan) noexcept;

 private:
  struct Pending {
    Clock::time_point asked;
    std::optional<Answer> answer;
  };

  void read_all();
  void dispatch(Notice notice, UniqueFd descriptor);
  void answered(Notice notice, UniqueFd descriptor);
  void lose(Error why);
  int send(const Request& request) const;
  void send_back(std::uint64_t loan);
  [[nodiscard]] Error refusal(const Notice& notice, std::string_view operation) const;

  const UniqueFd fd_;
  const std::string path_;
  VendorInfo vendor_;

  mutable std::mutex mutex_;      // protects what follows
  std::condition_variable read_;  // somebody has read
  bool reading_ = false;          // a thread waits for the socket
  std::uint32_t last_number_ = 0;
  std::map<std::uint32_t, Pending> pending_;
  std::map<std::uint64_t, LoanStatus> loans_;
  std::optional<Error> lost_;  // the connection
};

}  // namespace peermr::vend
