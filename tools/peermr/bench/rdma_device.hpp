// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "peermr/result.hpp"
#include "peermr/verbs.hpp"

namespace peermr::tool {

/// Calls a function of libibverbs that destroys an object.
template <auto Destroy>
struct VerbsDelete {
  template <typename T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

using UniquePd = std::unique_ptr<ibv_pd, VerbsDelete<ibv_dealloc_pd>>;
using UniqueCq = std::unique_ptr<ibv_cq, VerbsDelete<ibv_destroy_cq>>;
using UniqueQp = std::unique_ptr<ibv_qp, VerbsDelete<ibv_destroy_qp>>;
using UniqueMr = std::unique_ptr<ibv_mr, VerbsDelete<ibv_dereg_mr>>;

/// An open RDMA device with a protection domain and an active port. Moves.
class BenchDevice {
 public:
  /// By name. Errors: as verbs::Context::open(); std::errc::network_down when no port is active.
  [[nodiscard]] static Result<BenchDevice> open(const std::string& name);

  [[nodiscard]] ibv_context* context() const noexcept { return context_.get(); }
  [[nodiscard]] ibv_pd* pd() const noexcept { return pd_.get(); }
  [[nodiscard]] const verbs::RdmaDevice& info() const noexcept { return context_.device(); }
  [[nodiscard]] const std::string& name() const noexcept { return context_.device().name; }
  /// The pnic device of this project, whose other end is software.
  [[nodiscard]] bool emulated() const noexcept { return emulated_; }
  [[nodiscard]] const ibv_device_attr& attributes() const noexcept { return attributes_; }
  [[nodiscard]] std::uint8_t port() const noexcept { return port_; }
  [[nodiscard]] const ibv_port_attr& port_attributes() const noexcept { return port_attributes_; }
  [[nodiscard]] const ibv_gid& gid() const noexcept { return gid_; }
  [[nodiscard]] std::uint8_t gid_index() const noexcept { return gid_index_; }
  /// Whether peers are addressed by GID: Ethernet, or a port without a LID.
  [[nodiscard]] bool needs_gid() const noexcept;

 private:
  explicit BenchDevice(verbs::Context context) noexcept : context_(std::move(context)) {}
  Result<void> find_port();
  void choose_gid();

  verbs::Context context_;
  UniquePd pd_;
  ibv_device_attr attributes_{};
  ibv_port_attr port_attributes_{};
  ibv_gid gid_{};
  std::uint8_t port_ = 0;
  std::uint8_t gid_index_ = 0;
  bool emulated_ = false;
};

/// Names of the RDMA devices, first to last. Errors: std::errc::no_such_device when there is none,
/// with what to do.
[[nodiscard]] Result<std::vector<std::string>> rdma_device_names();

}  // namespace peermr::tool
