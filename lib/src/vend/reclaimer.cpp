// SPDX-License-Identifier: BSD-2-Clause
#include "vend/reclaimer.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.hpp"
#include "base/quiet_thread.hpp"

namespace peermr::vend {

Result<std::unique_ptr<Reclaimer>> Reclaimer::create(SliceMemory& memory) {
  UniqueFd finished(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!finished) return errno_error(errno, "vend", memory.name());
  return std::make_unique<Reclaimer>(memory, std::move(finished));
}

Reclaimer::Reclaimer(SliceMemory& memory, UniqueFd finished) noexcept
    : memory_(memory), finished_(std::move(finished)) {}

Reclaimer::~Reclaimer() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Reclaimer::take_back(std::uint32_t slice, DmaBuf buffer) {
  add({.work = Work::kTakeBack,
       .slice = slice,
       .buffer = std::move(buffer),
       .since = Clock::now()});
}

void Reclaimer::clear(std::uint32_t slice) {
  add({.work = Work::kClear, .slice = slice, .buffer = std::nullopt, .since = Clock::now()});
}

void Reclaimer::add(Job job) {
  const std::lock_guard lock(mutex_);
  (job.work == Work::kTakeBack ? to_take_back_ : to_clear_).push_back(std::move(job));
  if (threads_.empty()) start_thread();
  work_.notify_one();
}

std::optional<Reclaimer::Clock::time_point> Reclaimer::reinforce(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (to_take_back_.empty() && (to_clear_.empty() || clearing_ > 0)) return std::nullopt;
  if (idle_ > 0) return now + kPatience;
  const auto& oldest = to_take_back_.empty() ? to_clear_.front() : to_take_back_.front();
  if (now - oldest.since < kPatience) return oldest.since + kPatience;
  start_thread();
  return now + kPatience;
}

void Reclaimer::start_thread() {
  try {
    threads_.reserve(threads_.size() + 1);  // what can fail, fails before there is a thread
    threads_.push_back(start_quiet_thread("peermr-reclaim", [this] { run(); }));
  } catch (const std::exception& error) {
    // Tried again by reinforce().
    log(LogLevel::kError, "take back slices of {}: cannot start a thread: {}", memory_.name(),
        error.what());
  }
}

// Clearing keeps one thread busy at most: buffers that are to be taken back come first.
std::optional<Reclaimer::Job> Reclaimer::next_job() {
  std::unique_lock lock(mutex_);
  ++idle_;
  work_.wait(lock, [this] {
    return ending_ || !to_take_back_.empty() || (!to_clear_.empty() && clearing_ == 0);
  });
  --idle_;
  auto& queue = to_take_back_.empty() ? to_clear_ : to_take_back_;
  if (queue.empty() || (ending_ && to_take_back_.empty())) return std::nullopt;
  Job job = std::move(queue.front());
  queue.pop_front();
  if (job.work == Work::kClear) ++clearing_;
  return job;
}

void Reclaimer::finish(Done done) {
  const std::lock_guard lock(mutex_);
  if (done.work == Work::kClear) {
    --clearing_;
    work_.notify_one();
  }
  done_.push_back(std::move(done));
  const std::uint64_t one = 1;
  static_cast<void>(::write(finished_.get(), &one, sizeof(one)));
}

void Reclaimer::run() {
  while (auto job = next_job()) {
    const auto start = Clock::now();
    Result<std::uint64_t> result(std::uint64_t{0});
    if (job->work == Work::kTakeBack) {
      if (auto taken = memory_.take_back(*job->buffer); !taken) result = std::move(taken).error();
      job->buffer.reset();
    } else {
      result = memory_.clear(job->slice);
    }
    finish({.work = job->work,
            .slice = job->slice,
            .result = std::move(result),
            .took = Clock::now() - start});
  }
}

std::vector<Reclaimer::Done> Reclaimer::done() {
  const std::lock_guard lock(mutex_);
  std::uint64_t count = 0;
  static_cast<void>(::read(finished_.get(), &count, sizeof(count)));
  return std::exchange(done_, {});
}

}  // namespace peermr::vend
