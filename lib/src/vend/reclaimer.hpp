// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "peermr/dma_buf.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "vend/slice_memory.hpp"

namespace peermr::vend {

/// Threads that take slices back and clear them, so that nobody waits who serves others. Usually
/// one; when taking back is held up by an importer, another one joins for those behind it. Each
/// that is held up holds a slice, so there are never more threads than slices, and one.
///
/// Thread-safe.
class Reclaimer {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Work { kTakeBack, kClear };
  struct Done {
    Work work = Work::kTakeBack;
    std::uint32_t slice = 0;
    Result<std::uint64_t> result;  ///< kClear: the generation in which the slice is zero
    std::chrono::nanoseconds took{};
  };

  /// How long a buffer may wait to be taken back before another thread joins.
  static constexpr auto kPatience = std::chrono::milliseconds(20);

  /// `memory` is borrowed. Errors: errno of eventfd().
  [[nodiscard]] static Result<std::unique_ptr<Reclaimer>> create(SliceMemory& memory);

  Reclaimer(SliceMemory& memory, UniqueFd finished) noexcept;
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;
  /// Waits until all work is done.
  ~Reclaimer();

  void take_back(std::uint32_t slice, DmaBuf buffer);
  /// After all that is to be taken back.
  void clear(std::uint32_t slice);

  /// Readable while there is something for done().
  [[nodiscard]] int fd() const noexcept { return finished_.get(); }
  [[nodiscard]] std::vector<Done> done();

  /// Adds a thread when something has waited too long. Call again at the time returned; none: not
  /// before there is new work.
  std::optional<Clock::time_point> reinforce(Clock::time_point now);

 private:
  struct Job {
    Work work = Work::kTakeBack;
    std::uint32_t slice = 0;
    std::optional<DmaBuf> buffer;
    Clock::time_point since;
  };

  void add(Job job);
  void start_thread();
  void run();
  std::optional<Job> next_job();
  void finish(Done done);

  SliceMemory& memory_;
  const UniqueFd finished_;  // eventfd: not 0 while done_ is not empty

  std::mutex mutex_;  // protects what follows
  std::condition_variable work_;
  std::deque<Job> to_take_back_;
  std::deque<Job> to_clear_;
  std::vector<Done> done_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  std::size_t clearing_ = 0;  // threads
  bool ending_ = false;
};

}  // namespace peermr::vend
