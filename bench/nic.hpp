// SPDX-License-Identifier: BSD-2-Clause
//
// What the benchmarks that need an RDMA device have in common.
#pragma once

#include <infiniband/verbs.h>

#include <optional>
#include <peermr/peermr.hpp>
#include <string>
#include <utility>

namespace bench {

/// The first RDMA device and a dma-buf, which peermr-native gives a program. Ends the program: with
/// 77 when it does not run under that, with 1 and a line when anything else is missing.
class Nic {
 public:
  Nic();
  ~Nic();
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;

  [[nodiscard]] ibv_context* context() const noexcept { return context_; }
  [[nodiscard]] ibv_pd* pd() const noexcept { return pd_; }
  [[nodiscard]] const peermr::DmaBuf& buffer() const noexcept { return *buffer_; }

 private:
  ibv_device** devices_ = nullptr;
  ibv_context* context_ = nullptr;
  ibv_pd* pd_ = nullptr;
  std::optional<peermr::DmaBuf> buffer_;
};

[[noreturn]] void give_up(const std::string& why, int status = 1);

/// The value, or the end of the program with the error's text.
template <typename T>
T must(peermr::Result<T> result) {
  if (!result) give_up(result.error().message());
  return std::move(result).value();
}

}  // namespace bench
