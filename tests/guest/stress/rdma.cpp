// SPDX-License-Identifier: BSD-2-Clause
#include "stress/rdma.hpp"

#include <algorithm>
#include <cerrno>

namespace stress {

using namespace pnic_test;

namespace {

constexpr int kRemote = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
constexpr std::uint64_t kMostBytes = 64 << 10;
constexpr int kPatienceMs = 60;

}  // namespace

Rdma::Rdma(const std::string& nic_bdf)
    : context_(std::move(open_device(nic_bdf).value())), memory_(kMostBytes, 0xa5) {
  connect();
}

void Rdma::connect() {
  loopback_.emplace(Loopback::create(context_.get()));
  local_.reset(
      ibv_reg_mr(loopback_->pd.get(), memory_.data(), memory_.size(), IBV_ACCESS_LOCAL_WRITE));
  require(local_ != nullptr, "register host memory");
}

// With a WR still in flight, perhaps. The MRs are of the connection's PD.
void Rdma::disconnect() {
  loopback_->qp.reset();
  regions_.clear();
  local_.reset();
  loopback_.reset();
}

int Rdma::import(int dmabuf, std::uint64_t bytes, std::size_t victim) {
  Mr mr(ibv_reg_dmabuf_mr(loopback_->pd.get(), 0, bytes, 0, dmabuf, kRemote));
  if (!mr) return -errno;
  if (regions_.size() >= kMostMrs) forget(victim);
  regions_.push_back({std::move(mr), bytes});
  return 0;
}

void Rdma::forget(std::size_t which) {
  if (regions_.empty()) return;
  regions_.erase(regions_.begin() + static_cast<std::ptrdiff_t>(which % regions_.size()));
}

int Rdma::transfer(std::size_t which, bool write) {
  if (regions_.empty()) return -ENOENT;
  const Region& region = regions_[which % regions_.size()];
  const std::uint64_t bytes = std::min(region.bytes, kMostBytes);
  const ibv_sge local{reinterpret_cast<std::uintptr_t>(memory_.data()),
                      static_cast<std::uint32_t>(bytes), local_->lkey};
  const int error = post_rdma(*loopback_, write ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, local,
                              region.bytes - bytes, region.mr->rkey);
  const auto completion = error == 0 ? poll_one(*loopback_, kPatienceMs) : std::nullopt;
  if (completion && completion->status == IBV_WC_SUCCESS) return 0;
  disconnect();
  connect();
  return error != 0 ? -error : completion ? -EIO : -EAGAIN;
}

}  // namespace stress
