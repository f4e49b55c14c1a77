// SPDX-License-Identifier: BSD-2-Clause
#include "admin_queue.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/checked.hpp"
#include "nic_core.hpp"
#include "page_list.hpp"

namespace peermr::nic {

namespace {

constexpr int kCommandsPerTurn = 8;
constexpr uint32_t kSelfTestStepBytes = 1u << 20;

/// Whether all of a queue is memory that this process can reach and write.
bool reachable(const DmaMap& dma, uint64_t base, uint64_t bytes) {
  while (bytes > 0) {
    const Translation t = dma.translate(base, bytes);
    if (t.kind != Translation::Kind::kHost || !t.writable) return false;
    base += t.length;
    bytes -= t.length;
  }
  return true;
}

}  // namespace

pnic_fatal_reason AdminQueue::configure(NicCore& core, const Config& config) {
  *this = AdminQueue();
  config_ = config;
  const bool aligned =
      is_aligned<uint64_t>(config.submission_base | config.completion_base, PNIC_PAGE_SIZE);
  if (!aligned || config.log_size < PNIC_ADMIN_SIZE_MIN || config.log_size > PNIC_ADMIN_SIZE_MAX ||
      config.vector >= PNIC_NUM_VECTORS) {
    config_ = {};
    return PNIC_FATAL_ADMIN_CONFIG;
  }
  if (!reachable(core.dma, config.submission_base, uint64_t{sizeof(pnic_cmd)} << config.log_size) ||
      !reachable(core.dma, config.completion_base,
                 uint64_t{sizeof(pnic_admin_comp)} << config.log_size)) {
    return PNIC_FATAL_ADMIN_DMA;
  }
  return PNIC_FATAL_NONE;
}

void AdminQueue::completions_consumed(uint32_t count) noexcept {
  // A count of what was never produced is ignored: the ring stays full for who writes it.
  if (produced_ - count <= entries()) consumed_ = count;
}

bool AdminQueue::poll(NicCore& core) {
  const uint32_t before = produced_;
  if (submitted_ - taken_ > entries()) {
    core.raise_fatal(PNIC_FATAL_ADMIN_DOORBELL);
    return true;
  }
  poll_fences(core);
  if (self_test_.active) step_self_test(core);
  for (int i = 0; i < kCommandsPerTurn && taken_ != submitted_ && !self_test_.active; ++i) {
    // Each command that waits for its fence will need an entry too.
    if (!core.running() || !has_room() || fences_.size() >= entries()) break;
    pnic_cmd command;
    const uint64_t position = uint64_t{taken_ & (entries() - 1)} * sizeof(command);
    if (!read_bus(core.dma, config_.submission_base + position, &command, sizeof(command))) {
      core.stats.add(PNIC_STAT_DMA_UNMAPPED);
      core.raise_fatal(PNIC_FATAL_ADMIN_DMA);
      return true;
    }
    ++taken_;
    start(core, command);
  }
  if (produced_ != before) core.interrupt(config_.vector);
  return produced_ != before || self_test_.active || (taken_ != submitted_ && has_room());
}

bool AdminQueue::poll_fences(NicCore& core) {
  bool any = false;
  for (size_t i = 0; i < fences_.size() && has_room();) {
    if (!fence_reached(core, fences_[i].key)) {
      ++i;
      continue;
    }
    core.stats.add(PNIC_STAT_INVALIDATE);
    complete(core, fences_[i].cmd_id, PNIC_CMD_OK, 0);
    fences_.erase(fences_.begin() + static_cast<std::ptrdiff_t>(i));
    any = true;
  }
  return any;
}

void AdminQueue::start(NicCore& core, const pnic_cmd& command) {
  const CommandResult result = execute_command(core, command);
  switch (result.kind) {
    case CommandResult::Kind::kDone:
      return complete(core, command.hdr.cmd_id, result.status, result.result);
    case CommandResult::Kind::kFence:
      fences_.push_back({command.hdr.cmd_id, result.handle});
      poll_fences(core);
      return;
    case CommandResult::Kind::kSelfTest:
      return start_self_test(command);
  }
}

void AdminQueue::start_self_test(const pnic_cmd& command) {
  self_test_.active = true;
  self_test_.cmd_id = command.hdr.cmd_id;
  self_test_.bytes = command.u.self_test.bytes;
  self_test_.iterations_left = command.u.self_test.iterations;
  self_test_.at = 0;
  self_test_.spent = {};
  // Written once, so that the measurement does not pay for page faults or copy the kernel's one
  // zero page.
  self_test_.from.assign(self_test_.bytes, std::byte{0x5a});
  self_test_.to.assign(self_test_.bytes, std::byte{0});
}

void AdminQueue::step_self_test(NicCore& core) {
  SelfTest& test = self_test_;
  const uint32_t step = std::min(test.bytes - test.at, kSelfTestStepBytes);
  const auto begin = Clock::now();
  std::memcpy(test.to.data() + test.at, test.from.data() + test.at, step);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the copy stays where it is timed
  test.spent += Clock::now() - begin;
  test.at += step;
  if (test.at < test.bytes) return;
  test.at = 0;
  if (--test.iterations_left > 0 || !has_room()) {
    test.iterations_left = std::max(test.iterations_left, 1u);
    return;
  }
  complete(core, test.cmd_id, PNIC_CMD_OK, static_cast<uint64_t>(test.spent.count()));
  test = {};
}

void AdminQueue::complete(NicCore& core, uint16_t cmd_id, pnic_cmd_status status, uint64_t result) {
  if (status != PNIC_CMD_OK) core.stats.add(PNIC_STAT_ADMIN_ERROR);
  pnic_admin_comp entry{};
  entry.cmd_id = cmd_id;
  entry.status = static_cast<uint8_t>(status);
  entry.result = status == PNIC_CMD_OK ? result : 0;
  const bool phase = ((produced_ >> config_.log_size) & 1) == 0;
  entry.flags = phase ? PNIC_ADMIN_COMP_PHASE : 0;
  const uint64_t at =
      config_.completion_base + uint64_t{produced_ & (entries() - 1)} * sizeof(entry);
  // Entries never cross a page: the base is aligned. Everything but the phase first, then the
  // phase.
  const Translation t = core.dma.translate(at, sizeof(entry));
  if (t.kind != Translation::Kind::kHost || !t.writable || t.length < sizeof(entry)) {
    core.stats.add(PNIC_STAT_DMA_UNMAPPED);
    core.raise_fatal(PNIC_FATAL_ADMIN_DMA);
    return;
  }
  constexpr size_t kPhaseAt = offsetof(pnic_admin_comp, flags);
  const auto* bytes = reinterpret_cast<const std::byte*>(&entry);
  std::memcpy(t.host, bytes, kPhaseAt);
  std::memcpy(t.host + kPhaseAt + 1, bytes + kPhaseAt + 1, sizeof(entry) - kPhaseAt - 1);
  std::atomic_ref<std::byte>(t.host[kPhaseAt]).store(bytes[kPhaseAt], std::memory_order_release);
  ++produced_;
}

}  // namespace peermr::nic
