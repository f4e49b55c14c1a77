// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <utility>

#include "connection/port.hpp"

namespace peermr::detail {
namespace {

template <auto Destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

class VerbsPort final : public Port {
 public:
  explicit VerbsPort(const QpParameters& parameters) : parameters_(parameters) {}
  ~VerbsPort() override {
    if (cq_ && unacknowledged_ != 0) ibv_ack_cq_events(cq_.get(), unacknowledged_);
  }

  Result<void> make(ibv_pd* pd, const PortSizes& sizes);

  int post_send(ibv_send_wr& request) noexcept override {
    ibv_send_wr* bad = nullptr;
    return ibv_post_send(qp_.get(), &request, &bad);
  }
  int post_receive(ibv_recv_wr& request) noexcept override {
    ibv_recv_wr* bad = nullptr;
    return ibv_post_recv(qp_.get(), &request, &bad);
  }
  int poll(std::span<ibv_wc> completions) noexcept override {
    return ibv_poll_cq(cq_.get(), static_cast<int>(completions.size()), completions.data());
  }
  Result<QpAddress> address() override { return local_address(qp_.get(), parameters_); }
  Result<void> stop() override { return stop_qp(qp_.get()); }
  Result<void> restart() override { return restart_qp(qp_.get(), parameters_); }
  Result<void> connect(std::uint32_t psn, const QpAddress& peer, std::uint32_t peer_psn) override {
    return connect_qp(qp_.get(), parameters_, psn, peer, peer_psn);
  }
  int fd() const noexcept override { return channel_->fd; }
  Result<bool> arm() override;
  ibv_sge scratch() const noexcept override {
    return {.addr = reinterpret_cast<std::uintptr_t>(scratch_->data()),
            .length = static_cast<std::uint32_t>(scratch_->size()),
            .lkey = scratch_mr_->lkey};
  }
  bool has_atomics() const noexcept override { return has_atomics_; }

 private:
  // A page of its own, since registering memory may pin or replace all of its pages.
  struct alignas(4096) ScratchPage : std::array<std::byte, 4096> {};

  const QpParameters parameters_;
  // Destroyed from the last to the first.
  std::unique_ptr<ScratchPage> scratch_ = std::make_unique<ScratchPage>();
  std::unique_ptr<ibv_mr, Destroyer<ibv_dereg_mr>> scratch_mr_;
  std::unique_ptr<ibv_comp_channel, Destroyer<ibv_destroy_comp_channel>> channel_;
  std::unique_ptr<ibv_cq, Destroyer<ibv_destroy_cq>> cq_;
  std::unique_ptr<ibv_qp, Destroyer<ibv_destroy_qp>> qp_;
  bool has_atomics_ = false;
  bool armed_ = false;
  unsigned unacknowledged_ = 0;  // events of the completion channel
};

Result<void> VerbsPort::make(ibv_pd* pd, const PortSizes& sizes) {
  const char* device = ibv_get_device_name(pd->context->device);
  const auto failed = [device](const char* what) {
    return errno_error(errno != 0 ? errno : EIO, what, device);
  };
  errno = 0;
  ibv_device_attr attributes{};
  if (ibv_query_device(pd->context, &attributes) != 0) return failed("query");
  has_atomics_ = attributes.atomic_cap != IBV_ATOMIC_NONE;
  scratch_mr_.reset(ibv_reg_mr(pd, scratch_->data(), scratch_->size(), IBV_ACCESS_LOCAL_WRITE));
  if (!scratch_mr_) return failed("register memory with");
  channel_.reset(ibv_create_comp_channel(pd->context));
  if (!channel_) return failed("make completion channel of");
  const int flags = ::fcntl(channel_->fd, F_GETFL);
  if (flags < 0 || ::fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return failed("make completion channel of");
  }
  cq_.reset(ibv_create_cq(pd->context, static_cast<int>(sizes.sends + sizes.receives), nullptr,
                          channel_.get(), 0));
  if (!cq_) return failed("make completion queue of");
  ibv_qp_init_attr init{};
  init.send_cq = init.recv_cq = cq_.get();
  init.qp_type = IBV_QPT_RC;
  init.sq_sig_all = 1;
  init.cap.max_send_wr = sizes.sends;
  init.cap.max_recv_wr = sizes.receives;
  init.cap.max_send_sge = init.cap.max_recv_sge = 1;
  qp_.reset(ibv_create_qp(pd, &init));
  if (!qp_) return failed("make queue pair of");
  return {};
}

Result<bool> VerbsPort::arm() {
  ibv_cq* cq = nullptr;
  void* context = nullptr;
  while (ibv_get_cq_event(channel_.get(), &cq, &context) == 0) {
    armed_ = false;
    ++unacknowledged_;
  }
  if (armed_) return false;
  if (unacknowledged_ != 0) ibv_ack_cq_events(cq_.get(), std::exchange(unacknowledged_, 0));
  if (const int error = ibv_req_notify_cq(cq_.get(), 0); error != 0) {
    return errno_error(error, "arm", "completion queue");
  }
  armed_ = true;
  return true;
}

}  // namespace

Result<std::unique_ptr<Port>> make_verbs_port(ibv_pd* pd, const QpParameters& parameters,
                                              const PortSizes& sizes) {
  auto port = std::make_unique<VerbsPort>(parameters);
  if (auto made = port->make(pd, sizes); !made) return made.error();
  return std::unique_ptr<Port>(std::move(port));
}

}  // namespace peermr::detail
