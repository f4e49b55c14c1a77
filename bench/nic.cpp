// SPDX-License-Identifier: BSD-2-Clause
#include "nic.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {

void give_up(const std::string& why, int status) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(status);
}

Nic::Nic() {
  const char* fd = std::getenv("PEERMR_NATIVE_DMA_BUF");
  if (fd == nullptr) give_up("PEERMR_NATIVE_DMA_BUF is not set: run it under peermr-native", 77);
  // libibverbs' own list: the double shows its sysfs to libibverbs only.
  devices_ = ibv_get_device_list(nullptr);
  if (devices_ != nullptr && *devices_ != nullptr) context_ = ibv_open_device(*devices_);
  if (context_ == nullptr) give_up(std::string("open the first RDMA device: ") + std::strerror(errno));
  pd_ = ibv_alloc_pd(context_);
  if (pd_ == nullptr) give_up(std::string("allocate a PD: ") + std::strerror(errno));
  buffer_ = must(peermr::DmaBuf::adopt(peermr::UniqueFd(std::atoi(fd))));
}

Nic::~Nic() {
  ibv_dealloc_pd(pd_);
  ibv_close_device(context_);
  ibv_free_device_list(devices_);
}

}  // namespace bench
