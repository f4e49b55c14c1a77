// SPDX-License-Identifier: BSD-2-Clause
// Contexts: their life, their doorbell pages, and the commands about device, port and PDs.
#include <rdma/ib_user_ioctl_verbs.h>
#include <sys/mman.h>

#include <bit>
#include <cerrno>

#include "context.hpp"

namespace peermr::native {

namespace {

// mmap offsets: those of the doorbell BAR as they are, and the kick page beyond.
constexpr uint64_t kStatusOffset = 0;
constexpr uint64_t kKickOffset = uint64_t{1} << 32;

constexpr uint8_t kPort = 1;
constexpr uint8_t kPhysStateLinkUp = 5;
constexpr uint8_t kPhysStateDisabled = 3;
constexpr uint8_t kWidth4x = 2;
constexpr uint8_t kSpeedEdr = 32;

ib_uverbs_query_device_resp describe(const pnic_device_attr& attr) {
  ib_uverbs_query_device_resp resp{};
  resp.fw_ver = attr.fw_version;
  resp.node_guid = __builtin_bswap64(attr.node_guid);
  resp.sys_image_guid = resp.node_guid;
  resp.max_mr_size = attr.max_mr_size;
  resp.page_size_cap = ~uint64_t{PNIC_PAGE_SIZE - 1};
  resp.vendor_id = PNIC_PCI_VENDOR_ID;
  resp.vendor_part_id = PNIC_PCI_DEVICE_ID;
  resp.max_qp = attr.max_qp;
  resp.max_qp_wr = attr.max_qp_wr;
  resp.max_sge = attr.max_sge;
  resp.max_sge_rd = attr.max_sge;
  resp.max_cq = attr.max_cq;
  resp.max_cqe = attr.max_cqe;
  resp.max_mr = attr.max_mr;
  resp.max_pd = attr.max_pd;
  resp.max_qp_rd_atom = attr.max_rd_atomic;
  resp.max_qp_init_rd_atom = attr.max_rd_atomic;
  resp.max_res_rd_atom = attr.max_rd_atomic * attr.max_qp;
  resp.max_srq = attr.max_srq;
  resp.max_ah = attr.max_ah;
  resp.max_pkeys = 1;
  resp.phys_port_cnt = 1;
  return resp;
}

}  // namespace

int Context::open(const std::string& dir, int index, std::unique_ptr<Context>& out) {
  std::shared_ptr<Device> device;
  if (const int error = Device::open(dir, index, device)) return error;
  out.reset(new Context(std::move(device)));
  const std::lock_guard guard(out->device_->lock());
  out->device_->add_listener(*out);
  return 0;
}

Context::~Context() {
  {
    const std::lock_guard guard(device_->lock());
    device_->remove_listener(*this);
    destroy_everything();
  }
  Device::close(device_);
}

void Context::destroy_everything() {
  // On a device that has failed commands fail, and the objects are gone anyway.
  while (!qps_.empty()) release_qp(qps_.any());
  while (!cqs_.empty()) release_cq(cqs_.any());
  while (!mrs_.empty()) destroy_mr(mrs_.any());
  for (auto& [handle, pd] : pds_) {
    pnic_cmd command = make_command(PNIC_CMD_FREE_PD);
    command.u.object.handle = pd->pdn;
    device_->admin().execute(command);
  }
  for (const auto& [uar, slots] : uars_) {
    pnic_cmd command = make_command(PNIC_CMD_FREE_UAR);
    command.u.object.handle = uar;
    device_->admin().execute(command);
  }
}

void* Context::map(size_t length, int prot, int flags, uint64_t offset) {
  errno = EINVAL;
  if (length != kPage || (flags & MAP_SHARED) == 0) return MAP_FAILED;
  if (offset == kKickOffset) return device_->map_kick_page(prot);
  if (offset == kStatusOffset) {
    errno = EPERM;
    return (prot & PROT_WRITE) != 0 ? MAP_FAILED : device_->map_doorbell_page(0, prot);
  }
  const uint64_t page = offset / kPage;
  const std::lock_guard guard(device_->lock());
  // Only pages of its own.
  if (offset % kPage != 0 || page >= PNIC_NUM_UARS || !uars_.contains(static_cast<uint32_t>(page)))
    return MAP_FAILED;
  return device_->map_doorbell_page(static_cast<uint32_t>(page), prot);
}

int Context::take_slot(Slot& slot) {
  for (auto& [uar, slots] : uars_) {
    for (uint32_t i = 0; i < PNIC_UAR_SLOTS; ++i) {
      if (slots[i]) continue;
      slots[i] = true;
      slot = {uar, i};
      device_->zero_slot(uar, i);
      return 0;
    }
  }
  uint64_t uar = 0;
  pnic_cmd command = make_command(PNIC_CMD_ALLOC_UAR);
  if (const int error = device_->admin().execute(command, &uar)) return error;
  slot = {static_cast<uint32_t>(uar), 0};
  uars_[slot.uar][0] = true;
  return 0;
}

void Context::give_slot(const Slot& slot) { uars_[slot.uar][slot.index] = false; }

int Context::get_context(const CommandBuffers& buffers) {
  if (async_ != nullptr) return EINVAL;
  async_ = EventFile::create();
  if (async_ == nullptr) return EMFILE;
  ib_uverbs_get_context_resp resp{};
  resp.async_fd = static_cast<uint32_t>(async_->user_fd());
  resp.num_comp_vectors = 1;
  const pnic_device_attr& attr = device_->attr();
  pnic_ib_alloc_ucontext_resp driver{};
  driver.features = device_->features();
  driver.status_page = kStatusOffset;
  driver.kick_page = kKickOffset;
  driver.max_inline = attr.max_inline;
  driver.max_sge = attr.max_sge;
  driver.max_qp_wr = attr.max_qp_wr;
  driver.max_cqe = attr.max_cqe;
  write_answer(buffers.core_out, resp);
  write_answer(buffers.driver_out, driver);
  return 0;
}

int Context::query_device(const CommandBuffers& buffers, bool extended) {
  if (!extended) {
    // libibverbs probes for the ioctl interface with a request that has no room for the answer.
    if (buffers.core_out.size() < sizeof(ib_uverbs_query_device_resp)) return ENOSPC;
    write_answer(buffers.core_out, describe(device_->attr()));
    return 0;
  }
  ib_uverbs_ex_query_device_resp resp{};
  resp.base = describe(device_->attr());
  resp.response_length =
      static_cast<uint32_t>(std::min(buffers.core_out.size(), sizeof(resp)));
  write_answer(buffers.core_out, resp);
  return 0;
}

int Context::query_port(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_query_port>(buffers.core_in);
  if (request.port_num != kPort) return EINVAL;
  const pnic_device_attr& attr = device_->attr();
  const bool active = attr.port_state == PNIC_PORT_ACTIVE;
  ib_uverbs_query_port_resp resp{};
  resp.max_msg_sz = attr.max_msg_size;
  resp.gid_tbl_len = 1;
  resp.pkey_tbl_len = 1;
  resp.lid = attr.lid;
  resp.state = attr.port_state;
  resp.max_mtu = attr.max_mtu;
  resp.active_mtu = attr.active_mtu;
  resp.max_vl_num = 1;
  resp.active_width = kWidth4x;
  resp.active_speed = kSpeedEdr;
  resp.phys_state = active ? kPhysStateLinkUp : kPhysStateDisabled;
  resp.link_layer = 1;  // IBV_LINK_LAYER_INFINIBAND
  write_answer(buffers.core_out, resp);
  return 0;
}

int Context::alloc_pd(const CommandBuffers& buffers) {
  uint64_t pdn = 0;
  pnic_cmd command = make_command(PNIC_CMD_ALLOC_PD);
  if (const int error = device_->admin().execute(command, &pdn)) return error;
  auto pd = std::make_unique<PdObject>();
  pd->pdn = static_cast<uint32_t>(pdn);
  const pnic_ib_alloc_pd_resp driver{pd->pdn, 0};
  const uint32_t handle = pds_.add(std::move(pd));
  write_answer(buffers.core_out, handle);
  write_answer(buffers.driver_out, driver);
  return 0;
}

int Context::dealloc_pd(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_dealloc_pd>(buffers.core_in);
  PdObject* const pd = pds_.find(request.pd_handle);
  if (pd == nullptr) return EINVAL;
  if (pd->users != 0) return EBUSY;
  pnic_cmd command = make_command(PNIC_CMD_FREE_PD);
  command.u.object.handle = pd->pdn;
  if (const int error = device_->admin().execute(command); error != 0 && !device_->is_fatal())
    return error;
  pds_.remove(request.pd_handle);
  return 0;
}

int Context::create_comp_channel(const CommandBuffers& buffers) {
  std::shared_ptr<EventFile> file = EventFile::create();
  if (file == nullptr) return EMFILE;
  ib_uverbs_create_comp_channel_resp resp{};
  resp.fd = static_cast<uint32_t>(file->user_fd());
  channels_[file->user_fd()] = std::move(file);
  write_answer(buffers.core_out, resp);
  return 0;
}

int Context::invoke_write(uint32_t command, const CommandBuffers& buffers) {
  const std::lock_guard guard(device_->lock());
  const bool extended = (command & IB_USER_VERBS_CMD_FLAG_EXTENDED) != 0;
  const uint32_t number = command & ~IB_USER_VERBS_CMD_FLAG_EXTENDED;
  if (extended && number != IB_USER_VERBS_EX_CMD_QUERY_DEVICE &&
      number != IB_USER_VERBS_EX_CMD_CREATE_CQ)
    return EOPNOTSUPP;
  switch (number) {
    case IB_USER_VERBS_CMD_GET_CONTEXT:
      return get_context(buffers);
    case IB_USER_VERBS_CMD_QUERY_DEVICE:
      return query_device(buffers, extended);
    case IB_USER_VERBS_CMD_QUERY_PORT:
      return query_port(buffers);
    case IB_USER_VERBS_CMD_ALLOC_PD:
      return alloc_pd(buffers);
    case IB_USER_VERBS_CMD_DEALLOC_PD:
      return dealloc_pd(buffers);
    case IB_USER_VERBS_CMD_REG_MR:
      return reg_mr(buffers);
    case IB_USER_VERBS_CMD_DEREG_MR:
      return dereg_mr(buffers);
    case IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL:
      return create_comp_channel(buffers);
    case IB_USER_VERBS_CMD_CREATE_CQ:
      return create_cq(buffers, extended);
    case IB_USER_VERBS_CMD_DESTROY_CQ:
      return destroy_cq(buffers);
    case IB_USER_VERBS_CMD_CREATE_QP:
      return create_qp(buffers);
    case IB_USER_VERBS_CMD_MODIFY_QP:
      return modify_qp(buffers);
    case IB_USER_VERBS_CMD_QUERY_QP:
      return query_qp(buffers);
    case IB_USER_VERBS_CMD_DESTROY_QP:
      return destroy_qp(buffers);
    default:
      return EOPNOTSUPP;
  }
}

bool Context::on_event(const pnic_eqe& event) {
  switch (event.type) {
    case PNIC_EVENT_COMPLETION:
    case PNIC_EVENT_CQ_ERROR:
      return on_cq_event(event);
    case PNIC_EVENT_QP:
      return on_qp_event(event);
    case PNIC_EVENT_MR_FAULT:
      for (auto& [handle, mr] : mrs_) {
        if (mr->key != event.object) continue;
        fault_mr(*mr);
        return true;
      }
      return false;
    case PNIC_EVENT_PORT:
      send_async(kPort, event.code == PNIC_PORT_ACTIVE ? 9 : 10);  // IBV_EVENT_PORT_*
      return false;                                                // for every context
    default:
      return false;
  }
}

void Context::on_fatal() { send_async(0, 8); }  // IBV_EVENT_DEVICE_FATAL

}  // namespace peermr::native
