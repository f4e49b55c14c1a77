// SPDX-License-Identifier: BSD-2-Clause
#include "admin_queue.hpp"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/log.hpp"

namespace peermr::native {

namespace {

constexpr uint32_t kLogSize = 4;
constexpr uint32_t kMask = (1u << kLogSize) - 1;
constexpr int kReadyTimeoutMs = 1000;    // the specification's
constexpr int kCommandTimeoutMs = 10000; // longer than any fence should take

int errno_of(uint8_t status) {
  switch (status) {
    case PNIC_CMD_OK:
      return 0;
    case PNIC_CMD_BUSY:
      return EBUSY;
    case PNIC_CMD_NO_RESOURCE:
      return ENOMEM;
    case PNIC_CMD_DMA_ERROR:
      return EFAULT;
    case PNIC_CMD_BAD_OPCODE:
    case PNIC_CMD_NOT_SUPPORTED:
      return EOPNOTSUPP;
    case PNIC_CMD_INTERNAL:
      return EIO;
    default:
      return EINVAL;
  }
}

}  // namespace

pnic_cmd make_command(pnic_opcode opcode) {
  pnic_cmd command{};
  command.hdr.opcode = static_cast<uint8_t>(opcode);
  return command;
}

int AdminQueue::start(uint32_t vector, int eventfd) {
  uint32_t magic = 0;
  uint32_t version = 0;
  if (int error = client_.region_read32(PNIC_BAR_REGS, PNIC_REG_MAGIC, magic)) return error;
  if (int error = client_.region_read32(PNIC_BAR_REGS, PNIC_REG_VERSION, version)) return error;
  if (magic != PNIC_MAGIC || version >> 16 != PNIC_VERSION_MAJOR) return EPROTONOSUPPORT;

  submissions_ = DriverBuffer::create(memory_, sizeof(pnic_cmd) << kLogSize);
  completions_ = DriverBuffer::create(memory_, sizeof(pnic_admin_comp) << kLogSize);
  answer_ = DriverBuffer::create(memory_, kPage);
  if (!submissions_ || !completions_ || !answer_) return ENOMEM;
  eventfd_ = eventfd;

  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  const std::pair<uint32_t, uint32_t> writes[] = {
      {PNIC_REG_ASQ_BASE_LO, low(submissions_->iova())},
      {PNIC_REG_ASQ_BASE_HI, high(submissions_->iova())},
      {PNIC_REG_ACQ_BASE_LO, low(completions_->iova())},
      {PNIC_REG_ACQ_BASE_HI, high(completions_->iova())},
      {PNIC_REG_ADMIN_SIZE, kLogSize},
      {PNIC_REG_ADMIN_VECTOR, vector},
      {PNIC_REG_CTRL, PNIC_CTRL_ENABLE},
  };
  for (const auto& [offset, value] : writes)
    if (int error = client_.region_write32(PNIC_BAR_REGS, offset, value)) return error;

  for (int waited = 0; waited < kReadyTimeoutMs; ++waited) {
    uint32_t status = 0;
    if (int error = client_.region_read32(PNIC_BAR_REGS, PNIC_REG_STATUS, status)) return error;
    if ((status & PNIC_STATUS_FATAL) != 0) return EIO;
    if ((status & PNIC_STATUS_READY) != 0) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ETIMEDOUT;
}

int AdminQueue::wait(pnic_admin_comp& comp) {
  const uint32_t index = count_ - 1;
  auto* entry = reinterpret_cast<pnic_admin_comp*>(completions_->data()) + (index & kMask);
  const uint8_t phase = (index >> kLogSize & 1) != 0 ? 0 : PNIC_ADMIN_COMP_PHASE;
  std::atomic_ref<uint8_t> flags(entry->flags);
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kCommandTimeoutMs);
  while ((flags.load(std::memory_order_acquire) & PNIC_ADMIN_COMP_PHASE) != phase) {
    if (std::chrono::steady_clock::now() > deadline) return ETIMEDOUT;
    pollfd event{eventfd_, POLLIN, 0};
    ::poll(&event, 1, 10);
    uint64_t raised = 0;
    [[maybe_unused]] const ssize_t n = ::read(eventfd_, &raised, sizeof(raised));
  }
  std::memcpy(&comp, entry, sizeof(comp));
  return 0;
}

int AdminQueue::execute(pnic_cmd& command, uint64_t* result) {
  if (dead_) return EIO;
  command.hdr.cmd_id = static_cast<uint16_t>(count_);
  std::memcpy(submissions_->data() + (count_ & kMask) * sizeof(command), &command,
              sizeof(command));
  std::atomic_thread_fence(std::memory_order_release);
  ++count_;
  pnic_admin_comp comp{};
  int error = client_.region_write32(PNIC_BAR_REGS, PNIC_REG_ASQ_DOORBELL, count_);
  if (error == 0) error = wait(comp);
  if (error == 0) error = client_.region_write32(PNIC_BAR_REGS, PNIC_REG_ACQ_DOORBELL, count_);
  if (error != 0 || comp.cmd_id != command.hdr.cmd_id) {
    log(LogLevel::kError, "pnic native: admin command {:#x} failed, the device is gone",
        command.hdr.opcode);
    dead_ = true;
    return error != 0 ? error : EPROTO;
  }
  if (result != nullptr) *result = comp.result;
  return errno_of(comp.status);
}

int AdminQueue::query(pnic_opcode opcode, uint32_t handle, void* answer, size_t bytes) {
  pnic_cmd command = make_command(opcode);
  command.u.out.addr = answer_->iova();
  command.u.out.length = static_cast<uint32_t>(bytes);
  command.u.out.handle = handle;
  if (const int error = execute(command)) return error;
  std::memcpy(answer, answer_->data(), bytes);
  return 0;
}

}  // namespace peermr::native
