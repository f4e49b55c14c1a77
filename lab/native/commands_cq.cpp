// SPDX-License-Identifier: BSD-2-Clause
// Completion queues and the events that applications read.
#include <cerrno>

#include "context.hpp"
#include "page_list.hpp"

namespace peermr::native {

int Context::create_cq(const CommandBuffers& buffers, bool extended) {
  ib_uverbs_ex_create_cq request{};
  if (extended) {
    request = read_request<ib_uverbs_ex_create_cq>(buffers.core_in);
    if ((request.flags & ~uint32_t{IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION}) != 0 ||
        request.comp_mask != 0)
      return EOPNOTSUPP;
  } else {
    const auto legacy = read_request<ib_uverbs_create_cq>(buffers.core_in);
    request.user_handle = legacy.user_handle;
    request.cqe = legacy.cqe;
    request.comp_vector = legacy.comp_vector;
    request.comp_channel = legacy.comp_channel;
  }
  const auto driver = read_request<pnic_ib_create_cq>(buffers.driver_in);
  if (request.comp_vector != 0 || driver.log_size > PNIC_CQ_LOG_MAX ||
      request.cqe > 1u << driver.log_size || driver.buf_addr % kPage != 0)
    return EINVAL;

  auto cq = std::make_unique<CqObject>();
  cq->user_handle = request.user_handle;
  if (request.comp_channel >= 0) {
    const auto it = channels_.find(request.comp_channel);
    if (it == channels_.end()) return EINVAL;
    cq->channel = it->second;
  }
  Memory& memory = device_->memory();
  const size_t bytes = sizeof(pnic_cqe) << driver.log_size;
  if (const int error = memory.pin(driver.buf_addr, bytes, true, cq->ring)) return error;
  PageList list;
  uint64_t cqn = 0;
  int error = make_page_list(memory, cq->ring, 0, list);
  if (error == 0) error = take_slot(cq->slot);
  if (error == 0) {
    pnic_cmd command = make_command(PNIC_CMD_CREATE_CQ);
    command.u.create_cq.eqn = device_->eqn();
    command.u.create_cq.uar = cq->slot.uar;
    command.u.create_cq.slot = cq->slot.index;
    command.u.create_cq.log_size = driver.log_size;
    command.u.create_cq.pages = list.descriptor;
    error = device_->admin().execute(command, &cqn);
    if (error != 0) give_slot(cq->slot);
  }
  if (error != 0) {
    memory.unpin(cq->ring);
    return error;
  }
  cq->cqn = static_cast<uint32_t>(cqn);

  const pnic_ib_create_cq_resp tail{uint64_t{cq->slot.uar} * kPage, cq->cqn, cq->slot.index};
  ib_uverbs_ex_create_cq_resp resp{};
  resp.base.cqe = 1u << driver.log_size;
  resp.base.cq_handle = cqs_.add(std::move(cq));
  resp.response_length = sizeof(resp);
  write_answer(buffers.core_out, resp);
  write_answer(buffers.driver_out, tail);
  return 0;
}

// Other errors than EBUSY mean that the device is gone, and its objects with it.
int Context::release_cq(uint32_t handle) {
  CqObject* const cq = cqs_.find(handle);
  pnic_cmd command = make_command(PNIC_CMD_DESTROY_CQ);
  command.u.object.handle = cq->cqn;
  const int error = device_->admin().execute(command);
  if (error == EBUSY) return error;
  device_->memory().unpin(cq->ring);
  give_slot(cq->slot);
  cqs_.remove(handle);
  return 0;
}

int Context::destroy_cq(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_destroy_cq>(buffers.core_in);
  CqObject* const cq = cqs_.find(request.cq_handle);
  if (cq == nullptr) return EINVAL;
  if (cq->users != 0) return EBUSY;
  // Nobody will read what is still on its way, and ibv_destroy_cq waits for what was read.
  if (cq->channel != nullptr) {
    const uint64_t mine = cq->user_handle;
    cq->comp_events -= static_cast<uint32_t>(
        cq->channel->drop(sizeof(ib_uverbs_comp_event_desc), [mine](const void* record) {
          return static_cast<const ib_uverbs_comp_event_desc*>(record)->cq_handle == mine;
        }));
  }
  cq->async_events -= static_cast<uint32_t>(drop_async(cq->user_handle));
  const ib_uverbs_destroy_cq_resp resp{cq->comp_events, cq->async_events};
  if (const int error = release_cq(request.cq_handle)) return error;
  write_answer(buffers.core_out, resp);
  return 0;
}

size_t Context::drop_async(uint64_t user_handle) {
  if (async_ == nullptr) return 0;
  return async_->drop(sizeof(ib_uverbs_async_event_desc), [user_handle](const void* record) {
    return static_cast<const ib_uverbs_async_event_desc*>(record)->element == user_handle;
  });
}

void Context::send_async(uint64_t element, uint32_t type) {
  if (async_ == nullptr) return;
  const ib_uverbs_async_event_desc record{element, type, 0};
  async_->send(std::as_bytes(std::span(&record, 1)));
}

bool Context::on_cq_event(const pnic_eqe& event) {
  for (auto& [handle, cq] : cqs_) {
    if (cq->cqn != event.object) continue;
    if (event.type == PNIC_EVENT_CQ_ERROR) {
      ++cq->async_events;
      send_async(cq->user_handle, 0);  // IBV_EVENT_CQ_ERR
    } else if (cq->channel != nullptr) {
      const ib_uverbs_comp_event_desc record{cq->user_handle};
      if (cq->channel->send(std::as_bytes(std::span(&record, 1)))) ++cq->comp_events;
    }
    return true;
  }
  return false;
}

}  // namespace peermr::native
