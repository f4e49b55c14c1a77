// SPDX-License-Identifier: BSD-2-Clause
#include "bench/local_targets.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "bench/host_memory.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint32_t kMaxReceives = 4096;

class HostTarget final : public TargetMemory {
 public:
  explicit HostTarget(HostMemory memory) : memory_(std::move(memory)) {
    info_.name = TargetSpec{}.name();
    info_.host = true;
    info_.length_bytes = memory_.size_bytes();
    info_.address = memory_.address();
    info_.rkey = memory_.rkey();
  }
  [[nodiscard]] const TargetInfo& info() const noexcept override { return info_; }
  [[nodiscard]] std::uint32_t lkey() const noexcept override { return memory_.lkey(); }
  [[nodiscard]] Words words() const noexcept override { return memory_.words(); }

 private:
  HostMemory memory_;
  TargetInfo info_;
};

// VFIO's errors are about the group's file: say which device was meant.
Error named(const Error& error, const Bdf& bdf) {
  const std::string name = bdf.to_string();
  if (error.object().find(name) != std::string::npos) return error;
  return Error(error.code(), error.operation(), fmt::format("{} ({})", error.object(), name),
               error.detail());
}

}  // namespace

// Memory goes in the reverse order of its making, so that overlapping ranges get back what they
// had; before it the queue pair that could still write to it.
LocalTargets::~LocalTargets() {
  endpoint_.reset();
  while (!memories_.empty()) memories_.pop_back();
}

Result<vfio::Device*> LocalTargets::open_vfio(const Bdf& bdf) {
  if (auto found = vfio_.find(bdf); found != vfio_.end()) return &found->second;
  auto device = vfio::Device::open(bdf);
  if (!device) return named(device.error(), bdf);
  return &vfio_.emplace(bdf, *std::move(device)).first->second;
}

Result<void> LocalTargets::add(const TargetSpec& spec, const TargetOptions& options) {
  if (spec.kind == TargetSpec::Kind::kHost) {
    auto memory = HostMemory::create(*device_, options.host_bytes);
    if (!memory) return std::move(memory).error();
    memories_.push_back(std::make_unique<HostTarget>(*std::move(memory)));
  } else {
    auto vfio = open_vfio(spec.device);
    if (!vfio) return std::move(vfio).error();
    auto memory = make_bar_memory(*device_, **vfio, spec, options);
    if (!memory) return std::move(memory).error();
    memories_.push_back(*std::move(memory));
  }
  infos_.push_back(memories_.back()->info());
  return {};
}

Result<QpAddress> LocalTargets::connect(const QpAddress& initiator) {
  endpoint_.reset();
  auto endpoint = Endpoint::create(
      *device_,
      {1, std::min(kMaxReceives, static_cast<std::uint32_t>(device_->attributes().max_qp_wr))});
  if (!endpoint) return std::move(endpoint).error();
  if (auto connected = endpoint->connect(initiator); !connected) {
    return std::move(connected).error();
  }
  endpoint_.emplace(*std::move(endpoint));
  return endpoint_->address();
}

Result<Words> LocalTargets::words_for(std::size_t target, const Layout& layout) const {
  if (target >= memories_.size()) {
    return make_error(std::errc::invalid_argument, "use target", std::to_string(target),
                      "there is no such target");
  }
  if (!layout.valid_within(infos_[target].length_bytes)) {
    return make_error(std::errc::invalid_argument, "use target", infos_[target].name,
                      "the messages do not lie within it");
  }
  return memories_[target]->words();
}

Result<void> LocalTargets::fill(std::size_t target, const Layout& layout, std::uint64_t seed,
                                Fill what) {
  auto words = words_for(target, layout);
  if (!words) return std::move(words).error();
  (what == Fill::kPattern ? fill_pattern : fill_poison)(*words, layout, seed);
  return {};
}

Result<std::optional<Mismatch>> LocalTargets::verify(std::size_t target, const Layout& layout,
                                                     std::uint64_t seed) {
  auto words = words_for(target, layout);
  if (!words) return std::move(words).error();
  return find_mismatch(*words, layout, seed);
}

Result<void> LocalTargets::start_receives(std::size_t target, const Layout& layout,
                                          std::uint32_t count) {
  if (auto words = words_for(target, layout); !words) return std::move(words).error();
  if (!endpoint_) return make_error(std::errc::not_connected, "post receives on", device_name());
  receives_ = {target, layout, 0, 0};
  while (receives_.posted < count) {
    if (auto posted = post_receive(); !posted) return posted;
  }
  return {};
}

Result<void> LocalTargets::post_receive() {
  const Layout& layout = receives_.layout;
  const std::uint64_t offset = receives_.posted % layout.slots * layout.stride_bytes;
  ibv_sge sge{infos_[receives_.target].address + offset,
              static_cast<std::uint32_t>(layout.size_bytes), memories_[receives_.target]->lkey()};
  ibv_recv_wr wr{};
  wr.wr_id = receives_.posted;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  ibv_recv_wr* bad = nullptr;
  if (const int status = ibv_post_recv(endpoint_->qp(), &wr, &bad); status != 0) {
    return errno_error(status, "post a receive to", endpoint_->describe());
  }
  ++receives_.posted;
  return {};
}

Result<std::uint64_t> LocalTargets::service_receives() {
  std::array<ibv_wc, 16> completions;
  const int count =
      ibv_poll_cq(endpoint_->cq(), static_cast<int>(completions.size()), completions.data());
  for (int i = 0; i < count; ++i) {
    const ibv_wc& completion = completions[static_cast<std::size_t>(i)];
    if (completion.status != IBV_WC_SUCCESS) {
      return make_error(std::errc::io_error, "receive on", endpoint_->describe(),
                        ibv_wc_status_str(completion.status));
    }
    ++receives_.received;
    if (auto posted = post_receive(); !posted) return std::move(posted).error();
  }
  return receives_.received;
}

}  // namespace peermr::tool
