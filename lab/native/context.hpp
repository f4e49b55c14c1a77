// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <rdma/ib_user_verbs.h>
#include <rdma/pnic-abi.h>

#include <bitset>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "device.hpp"
#include "objects.hpp"

struct ib_uverbs_ioctl_hdr;

namespace peermr::native {

/// What a command brings and where its answer goes: the core's part and the driver's.
struct CommandBuffers {
  std::span<const std::byte> core_in;
  std::span<const std::byte> driver_in;
  std::span<std::byte> core_out;
  std::span<std::byte> driver_out;
};

/// A request, zero where the caller's is shorter: structs of the interface only ever grow.
template <typename T>
T read_request(std::span<const std::byte> bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(value)));
  return value;
}

/// As much of the answer as the caller has room for.
template <typename T>
void write_answer(std::span<std::byte> bytes, const T& value) {
  std::memcpy(bytes.data(), &value, std::min(bytes.size(), sizeof(value)));
}

/// An open uverbs file: the commands of the RDMA core and of kernel/pnic, carried out on a Device.
/// Closing it destroys its objects. Thread-safe; functions return 0 or an errno value.
class Context final : public DeviceEvents {
 public:
  static int open(const std::string& dir, int index, std::unique_ptr<Context>& out);
  ~Context() override;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// RDMA_VERBS_IOCTL. EPROTONOSUPPORT for methods that libibverbs then asks for in the older way.
  int ioctl(ib_uverbs_ioctl_hdr& request);

  /// mmap(2) of the file. MAP_FAILED with errno.
  void* map(size_t length, int prot, int flags, uint64_t offset);

  /// dma-buf `inode` of `device` is taken away (`forever` or not) or given back.
  void invalidate_dma_buf(dev_t device, ino_t inode, bool forever);
  void restore_dma_buf(dev_t device, ino_t inode);

  bool on_event(const pnic_eqe& event) override;
  void on_fatal() override;

  Device& device() noexcept { return *device_; }

 private:
  struct DmaBufRequest {
    uint32_t pd = 0;
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t iova = 0;
    int fd = -1;
    uint32_t access = 0;
  };

  explicit Context(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  // commands.cpp
  int invoke_write(uint32_t command, const CommandBuffers& buffers);
  int get_context(const CommandBuffers& buffers);
  int query_device(const CommandBuffers& buffers, bool extended);
  int query_port(const CommandBuffers& buffers);
  int alloc_pd(const CommandBuffers& buffers);
  int dealloc_pd(const CommandBuffers& buffers);
  int create_comp_channel(const CommandBuffers& buffers);
  int take_slot(Slot& slot);
  void give_slot(const Slot& slot);
  void destroy_everything();

  // commands_mr.cpp
  int reg_mr(const CommandBuffers& buffers);
  int reg_dma_buf_mr(const DmaBufRequest& request, uint32_t& handle, uint32_t& key);
  int create_mr(MrObject& mr, uint32_t pdn, uint64_t iova, uint32_t access, uint32_t flags,
                uint64_t offset);
  int pin_dma_buf(MrObject& mr);
  int validate_mr(MrObject& mr);
  void fault_mr(MrObject& mr);
  int dereg_mr(const CommandBuffers& buffers);
  int destroy_mr(uint32_t handle);

  // commands_cq.cpp
  int create_cq(const CommandBuffers& buffers, bool extended);
  int destroy_cq(const CommandBuffers& buffers);
  int release_cq(uint32_t handle);
  size_t drop_async(uint64_t user_handle);
  void send_async(uint64_t element, uint32_t type);
  bool on_cq_event(const pnic_eqe& event);

  // commands_qp.cpp
  int create_qp(const CommandBuffers& buffers);
  int modify_qp(const CommandBuffers& buffers);
  int query_qp(const CommandBuffers& buffers);
  int destroy_qp(const CommandBuffers& buffers);
  int release_qp(uint32_t handle);
  bool on_qp_event(const pnic_eqe& event);

  std::shared_ptr<Device> device_;
  std::unique_ptr<EventFile> async_;
  // By the application's descriptor, which it closes without our notice: an entry lasts until the
  // number is given out again.
  std::map<int, std::shared_ptr<EventFile>> channels_;
  std::map<uint32_t, std::bitset<PNIC_UAR_SLOTS>> uars_;
  HandleTable<PdObject> pds_;
  HandleTable<MrObject> mrs_;
  HandleTable<CqObject> cqs_;
  HandleTable<QpObject> qps_;
};

}  // namespace peermr::native
