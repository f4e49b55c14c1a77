// SPDX-License-Identifier: BSD-2-Clause
// The ioctl interface of uverbs: INVOKE_WRITE, which carries the older commands, and the one method
// that has no older form.
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include <cerrno>
#include <optional>

#include "context.hpp"

namespace peermr::native {

namespace {

/// The attributes of a request by number.
class Attributes {
 public:
  explicit Attributes(ib_uverbs_ioctl_hdr& header)
      : attributes_(header.attrs, header.num_attrs) {}

  ib_uverbs_attr* find(uint16_t id) const {
    for (ib_uverbs_attr& attribute : attributes_)
      if (attribute.attr_id == id) return &attribute;
    return nullptr;
  }

  /// Input up to 8 bytes lies in the attribute itself.
  std::span<const std::byte> in(uint16_t id) const {
    const ib_uverbs_attr* const attribute = find(id);
    if (attribute == nullptr) return {};
    const auto* bytes = attribute->len <= sizeof(attribute->data)
                            ? reinterpret_cast<const std::byte*>(&attribute->data)
                            : reinterpret_cast<const std::byte*>(attribute->data);
    return {bytes, attribute->len};
  }

  std::span<std::byte> out(uint16_t id) const {
    const ib_uverbs_attr* const attribute = find(id);
    if (attribute == nullptr) return {};
    return {reinterpret_cast<std::byte*>(attribute->data), attribute->len};
  }

  template <typename T>
  T number(uint16_t id) const {
    return read_request<T>(in(id));
  }

  /// Handles are passed by value, with a length of 0.
  std::optional<uint32_t> handle(uint16_t id) const {
    const ib_uverbs_attr* const attribute = find(id);
    if (attribute == nullptr) return std::nullopt;
    return static_cast<uint32_t>(attribute->data);
  }

 private:
  std::span<ib_uverbs_attr> attributes_;
};

}  // namespace

int Context::ioctl(ib_uverbs_ioctl_hdr& request) {
  const Attributes attributes(request);
  if (request.object_id == UVERBS_OBJECT_DEVICE &&
      request.method_id == UVERBS_METHOD_INVOKE_WRITE) {
    return invoke_write(attributes.number<uint32_t>(UVERBS_ATTR_WRITE_CMD),
                        {attributes.in(UVERBS_ATTR_CORE_IN), attributes.in(UVERBS_ATTR_UHW_IN),
                         attributes.out(UVERBS_ATTR_CORE_OUT), attributes.out(UVERBS_ATTR_UHW_OUT)});
  }
  if (request.object_id == UVERBS_OBJECT_MR && request.method_id == UVERBS_METHOD_REG_DMABUF_MR) {
    DmaBufRequest mr;
    mr.pd = attributes.handle(UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE).value_or(0);
    mr.offset = attributes.number<uint64_t>(UVERBS_ATTR_REG_DMABUF_MR_OFFSET);
    mr.length = attributes.number<uint64_t>(UVERBS_ATTR_REG_DMABUF_MR_LENGTH);
    mr.iova = attributes.number<uint64_t>(UVERBS_ATTR_REG_DMABUF_MR_IOVA);
    mr.fd = attributes.number<int32_t>(UVERBS_ATTR_REG_DMABUF_MR_FD);
    mr.access = attributes.number<uint32_t>(UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS);
    uint32_t handle = 0;
    uint32_t key = 0;
    if (const int error = reg_dma_buf_mr(mr, handle, key)) return error;
    write_answer(attributes.out(UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY), key);
    write_answer(attributes.out(UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY), key);
    if (ib_uverbs_attr* const out = attributes.find(UVERBS_ATTR_REG_DMABUF_MR_HANDLE))
      out->data = handle;
    return 0;
  }
  return EPROTONOSUPPORT;
}

}  // namespace peermr::native
