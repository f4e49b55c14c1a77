// SPDX-License-Identifier: BSD-2-Clause
#include "bench/initiator.hpp"

#include <algorithm>
#include <random>

#include "base/signals.hpp"
#include "bench/statistics.hpp"
#include "bench/stream.hpp"

namespace peermr::tool {
namespace {

// After the slots: where flushing READs land.
constexpr std::uint64_t kScratchBytes = 64;
constexpr std::uint64_t kLeastLatencySamples = 20;

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace

/// What measuring one row needs at hand.
struct Initiator::Work {
  const RowPlan& plan;
  std::size_t target;
  Layout layout;
  std::uint64_t seed;
  Stream& stream;
  Row& row;

  // The side whose memory the operation changes is the one to poison and to compare.
  [[nodiscard]] bool lands_here() const { return plan.operation == Operation::kRead; }
};

Result<Initiator> Initiator::create(const BenchDevice& device, TargetSide& target,
                                    std::uint64_t room_bytes) {
  auto buffer = HostMemory::create(device, room_bytes + kScratchBytes);
  if (!buffer) return std::move(buffer).error();
  return Initiator(device, target, *std::move(buffer));
}

Row Initiator::run(std::size_t target, const RowPlan& plan) {
  const TargetInfo& info = target_->targets()[target];
  Row row;
  row.key = {plan.operation, plan.size_bytes, info.name,  device_->name(),
             info.predicted, info.reason,     info.kernel};
  const auto failed = [&row](const Error& error) {
    row.error = error.message();
    return row;
  };
  const std::uint64_t room =
      std::min({plan.room_bytes, info.length_bytes, buffer_.size_bytes() - kScratchBytes});
  auto layout = Layout::fit(plan.size_bytes, plan.depth, room);
  if (!layout) return failed(layout.error());
  auto endpoint = Endpoint::create(*device_, {plan.depth + 1, 1});
  if (!endpoint) return failed(endpoint.error());
  auto peer = target_->connect(endpoint->address());
  if (!peer) return failed(peer.error());
  if (auto connected = endpoint->connect(*peer); !connected) return failed(connected.error());

  StreamOptions options;
  options.operation = plan.operation;
  options.layout = *layout;
  options.depth = plan.depth;
  options.local_address = buffer_.address();
  options.lkey = buffer_.lkey();
  options.remote_address = info.address;
  options.rkey = info.rkey;
  options.timeout = plan.timeout;
  Stream stream(*endpoint, *target_, options);
  Work work{plan, target, *layout, random_seed(), stream, row};
  if (auto measured = measure(work); !measured) return failed(measured.error());
  return row;
}

Result<void> Initiator::measure(Work& work) {
  if (work.plan.operation == Operation::kSend) {
    auto started = target_->start_receives(work.target, work.layout, 2 * work.plan.depth);
    if (!started) return started;
  }
  // Warm-up: pages are faulted in and caches filled. The next message is for slot 0 again.
  if (auto warm = work.stream.run(work.layout.slots); !warm) return warm;
  if (auto measured = measure_bandwidth(work); !measured) return measured;
  if (work.row.mismatch || stop_requested()) return {};
  return measure_latency(work);
}

Result<void> Initiator::poison(const Work& work) {
  const Words here = buffer_.words();
  if (work.lands_here()) {
    fill_poison(here, work.layout, work.seed);
    return target_->fill(work.target, work.layout, work.seed, Fill::kPattern);
  }
  fill_pattern(here, work.layout, work.seed);
  return target_->fill(work.target, work.layout, work.seed, Fill::kPoison);
}

Result<void> Initiator::measure_bandwidth(Work& work) {
  if (auto poisoned = poison(work); !poisoned) return poisoned;
  const std::uint64_t before = work.stream.posted();
  const Clock::time_point begin = Clock::now();
  auto ran = work.plan.iterations != 0 ? work.stream.run(work.plan.iterations)
                                       : work.stream.run_for(work.plan.duration, work.layout.slots);
  if (!ran) return ran;
  const std::chrono::duration<double> elapsed = Clock::now() - begin;
  Measurement& measured = work.row.measured;
  measured.messages = work.stream.posted() - before;
  measured.seconds = elapsed.count();
  measured.messages_per_second = static_cast<double>(measured.messages) / measured.seconds;
  measured.bytes_per_second =
      measured.messages_per_second * static_cast<double>(work.layout.size_bytes);
  auto right = verify(work, measured.messages);
  if (!right) return std::move(right).error();
  work.row.verified = *right;
  return {};
}

Result<void> Initiator::measure_latency(Work& work) {
  // Each run begins at slot 0, so that what was touched is a prefix.
  if (const std::uint64_t rest = work.stream.posted() % work.layout.slots; rest != 0) {
    if (auto aligned = work.stream.run(work.layout.slots - rest); !aligned) return aligned;
  }
  if (auto poisoned = poison(work); !poisoned) return poisoned;
  std::vector<std::uint64_t> samples;
  samples.reserve(work.plan.latency_samples);
  const Clock::time_point end = Clock::now() + work.plan.duration;
  while (samples.size() < work.plan.latency_samples) {
    if (samples.size() >= kLeastLatencySamples && Clock::now() > end) break;
    auto time = work.stream.round_trip();
    if (!time) return std::move(time).error();
    samples.push_back(static_cast<std::uint64_t>(time->count()));
  }
  auto right = verify(work, samples.size());
  if (!right) return std::move(right).error();
  work.row.verified = work.row.verified && *right;
  std::sort(samples.begin(), samples.end());
  Measurement& measured = work.row.measured;
  measured.latency_samples = samples.size();
  measured.latency_median_ns = percentile(samples, 50);
  measured.latency_p99_ns = percentile(samples, 99);
  return {};
}

Result<bool> Initiator::verify(Work& work, std::uint64_t messages) {
  Layout touched = work.layout;
  touched.slots = std::min(touched.slots, messages);
  if (work.lands_here()) {
    work.row.mismatch = find_mismatch(buffer_.words(), touched, work.seed);
    return !work.row.mismatch && messages != 0;
  }
  if (work.plan.operation == Operation::kWrite) {
    auto flushed = work.stream.flush(buffer_.address() + buffer_.size_bytes() - kScratchBytes);
    if (!flushed) return std::move(flushed).error();
  }
  auto mismatch = target_->verify(work.target, touched, work.seed);
  if (!mismatch) return std::move(mismatch).error();
  work.row.mismatch = *mismatch;
  return !work.row.mismatch && messages != 0;
}

}  // namespace peermr::tool
