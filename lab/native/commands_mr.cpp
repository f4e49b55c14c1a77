// SPDX-License-Identifier: BSD-2-Clause
// Memory regions: memory of the process, and files in the part of dma-bufs.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/checked.hpp"
#include "context.hpp"
#include "dma_buf_table.hpp"
#include "page_list.hpp"

namespace peermr::native {

namespace {

constexpr uint32_t kOptionalAccess = 0x3ff00000;  // IB_ACCESS_OPTIONAL: may be ignored

int check_access(uint32_t& access) {
  access &= ~kOptionalAccess;
  if ((access & ~PNIC_ACCESS_MASK) != 0) return EOPNOTSUPP;
  const uint32_t writes = PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_ATOMIC;
  if ((access & writes) != 0 && (access & PNIC_ACCESS_LOCAL_WRITE) == 0) return EINVAL;
  return 0;
}

}  // namespace

int Context::create_mr(MrObject& mr, uint32_t pdn, uint64_t iova, uint32_t access, uint32_t flags,
                       uint64_t offset) {
  PageList list;
  if (const int error = make_page_list(device_->memory(), mr.pinned, offset, list)) return error;
  pnic_cmd command = make_command(PNIC_CMD_CREATE_MR);
  command.u.create_mr.pdn = pdn;
  command.u.create_mr.access = access;
  command.u.create_mr.flags = flags;
  command.u.create_mr.iova = iova;
  command.u.create_mr.length = mr.length;
  command.u.create_mr.pages = list.descriptor;
  uint64_t key = 0;
  if (const int error = device_->admin().execute(command, &key)) return error;
  mr.key = static_cast<uint32_t>(key);
  return 0;
}

int Context::reg_mr(const CommandBuffers& buffers) {
  const auto request = read_request<ib_uverbs_reg_mr>(buffers.core_in);
  uint32_t access = request.access_flags;
  if (const int error = check_access(access)) return error;
  PdObject* const pd = pds_.find(request.pd_handle);
  if (pd == nullptr || (request.start & (kPage - 1)) != (request.hca_va & (kPage - 1)))
    return EINVAL;
  auto mr = std::make_unique<MrObject>();
  mr->pd = request.pd_handle;
  mr->length = request.length;
  mr->writeable = (access & PNIC_ACCESS_LOCAL_WRITE) != 0;
  Memory& memory = device_->memory();
  if (const int error = memory.pin(request.start, request.length, mr->writeable, mr->pinned))
    return error;
  if (const int error =
          create_mr(*mr, pd->pdn, request.hca_va, access, 0, request.start & (kPage - 1))) {
    memory.unpin(mr->pinned);
    return error;
  }
  ++pd->users;
  ib_uverbs_reg_mr_resp resp{};
  resp.lkey = mr->key;
  resp.rkey = mr->key;
  resp.mr_handle = mrs_.add(std::move(mr));
  write_answer(buffers.core_out, resp);
  return 0;
}

int Context::pin_dma_buf(MrObject& mr) {
  const DmaBufUse& use = *mr.dma_buf;
  if (dma_buf_state(use.device, use.inode) != DmaBufState::kLive) return ENODEV;
  const uint64_t first = align_down<uint64_t>(use.offset, kPage);
  const uint64_t end = *align_up<uint64_t>(use.offset + mr.length, kPage);
  return device_->memory().pin_file(use.fd.get(), first, end - first, mr.writeable, mr.pinned);
}

int Context::reg_dma_buf_mr(const DmaBufRequest& request, uint32_t& handle, uint32_t& key) {
  const std::lock_guard guard(device_->lock());
  uint32_t access = request.access;
  if (const int error = check_access(access)) return error;
  PdObject* const pd = pds_.find(request.pd);
  if (pd == nullptr || (request.offset & (kPage - 1)) != (request.iova & (kPage - 1)))
    return EINVAL;
  auto mr = std::make_unique<MrObject>();
  mr->pd = request.pd;
  mr->length = request.length;
  mr->writeable = (access & PNIC_ACCESS_LOCAL_WRITE) != 0;
  mr->dma_buf = std::make_unique<DmaBufUse>();
  mr->dma_buf->offset = request.offset;
  struct stat st {};
  if (::fstat(request.fd, &st) != 0) return EBADF;
  if (!S_ISREG(st.st_mode)) return EINVAL;
  if (request.length == 0 ||
      !range_in<uint64_t>(request.offset, request.length, static_cast<uint64_t>(st.st_size)))
    return EINVAL;
  mr->dma_buf->device = st.st_dev;
  mr->dma_buf->inode = st.st_ino;
  auto copy = UniqueFd(::fcntl(request.fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return EMFILE;
  mr->dma_buf->fd = std::move(copy);

  if (const int error = pin_dma_buf(*mr)) return error;
  if (const int error = create_mr(*mr, pd->pdn, request.iova, access, PNIC_MR_FAULTABLE,
                                  request.offset & (kPage - 1))) {
    device_->memory().unpin(mr->pinned);
    return error;
  }
  ++pd->users;
  key = mr->key;
  handle = mrs_.add(std::move(mr));
  return 0;
}

int Context::validate_mr(MrObject& mr) {
  if (const int error = pin_dma_buf(mr)) return error;
  PageList list;
  int error = make_page_list(device_->memory(), mr.pinned, mr.dma_buf->offset & (kPage - 1), list);
  if (error == 0) {
    pnic_cmd command = make_command(PNIC_CMD_VALIDATE_MR);
    command.u.validate_mr.key = mr.key;
    command.u.validate_mr.pages = list.descriptor;
    error = device_->admin().execute(command);
  }
  if (error == 0)
    mr.state = MrObject::State::kValid;
  else
    device_->memory().unpin(mr.pinned);
  return error;
}

void Context::fault_mr(MrObject& mr) {
  // A fault may be older than the validation that settled it.
  if (mr.dma_buf == nullptr || mr.state != MrObject::State::kInvalid) return;
  if (validate_mr(mr) == 0) return;
  pnic_cmd command = make_command(PNIC_CMD_FAULT_DONE);
  command.u.object.handle = mr.key;
  device_->admin().execute(command);
}

void Context::invalidate_dma_buf(dev_t device, ino_t inode, bool forever) {
  for (auto& [handle, mr] : mrs_) {
    if (mr->dma_buf == nullptr || mr->dma_buf->device != device || mr->dma_buf->inode != inode)
      continue;
    if (mr->state == MrObject::State::kRevoked) continue;
    if (mr->state == MrObject::State::kInvalid && !forever) continue;
    pnic_cmd command = make_command(PNIC_CMD_INVALIDATE_MR);
    command.u.invalidate_mr.key = mr->key;
    command.u.invalidate_mr.flags = forever ? PNIC_INVALIDATE_REVOKE : 0;
    device_->admin().execute(command);
    mr->state = forever ? MrObject::State::kRevoked : MrObject::State::kInvalid;
    // The fence has been passed: now the mapping may go.
    device_->memory().unpin(mr->pinned);
  }
}

void Context::restore_dma_buf(dev_t device, ino_t inode) {
  for (auto& [handle, mr] : mrs_) {
    if (mr->dma_buf != nullptr && mr->dma_buf->device == device && mr->dma_buf->inode == inode &&
        mr->state == MrObject::State::kInvalid)
      validate_mr(*mr);
  }
}

int Context::destroy_mr(uint32_t handle) {
  MrObject* const mr = mrs_.find(handle);
  if (mr == nullptr) return EINVAL;
  pnic_cmd command = make_command(PNIC_CMD_DESTROY_MR);
  command.u.object.handle = mr->key;
  // An error means that the device is gone, and its objects with it.
  device_->admin().execute(command);
  device_->memory().unpin(mr->pinned);
  if (PdObject* const pd = pds_.find(mr->pd)) --pd->users;
  mrs_.remove(handle);
  return 0;
}

int Context::dereg_mr(const CommandBuffers& buffers) {
  return destroy_mr(read_request<ib_uverbs_dereg_mr>(buffers.core_in).mr_handle);
}

}  // namespace peermr::native
