// SPDX-License-Identifier: BSD-2-Clause
#include "remote_dma.hpp"

#include "nic_core.hpp"

namespace peermr::nic {

void RemoteDma::disconnect() noexcept {
  channel_ = nullptr;
  transfers_ = {};
}

void RemoteDma::forget(uint32_t qpn) noexcept {
  for (Transfer& transfer : transfers_) {
    if (qpn == 0 || transfer.owner.qpn == qpn) transfer.owner.qpn = 0;
  }
}

RemoteDma::Transfer* RemoteDma::take(const MemoryRegion& region, const Owner& owner) noexcept {
  if (channel_ == nullptr) return nullptr;
  for (Transfer& transfer : transfers_) {
    if (transfer.in_use) continue;
    transfer = {true, region.key, owner};
    return &transfer;
  }
  return nullptr;
}

bool RemoteDma::start_read(MemoryRegion& region, uint64_t bus, uint32_t length,
                           const Owner& owner) {
  Transfer* transfer = take(region, owner);
  if (transfer == nullptr) return false;
  transfer->in_use =
      channel_->dma_read(bus, length, static_cast<uint64_t>(transfer - transfers_.data()));
  if (transfer->in_use) ++region.in_flight;
  return transfer->in_use;
}

bool RemoteDma::start_write(MemoryRegion& region, uint64_t bus, std::span<const std::byte> data,
                            const Owner& owner) {
  Transfer* transfer = take(region, owner);
  if (transfer == nullptr) return false;
  transfer->in_use =
      channel_->dma_write(bus, data, static_cast<uint64_t>(transfer - transfers_.data()));
  if (transfer->in_use) ++region.in_flight;
  return transfer->in_use;
}

void RemoteDma::on_reply(NicCore& core, uint64_t cookie, int error,
                         std::span<const std::byte> data) {
  if (cookie >= transfers_.size() || !transfers_[cookie].in_use) return;
  const Transfer transfer = transfers_[cookie];
  transfers_[cookie].in_use = false;
  // An MR that is destroyed stays in the table until nothing is in flight; only a reset removes it
  // earlier.
  MemoryRegion* region = core.regions.find(transfer.key);
  if (region != nullptr && region->in_flight > 0) --region->in_flight;
  QueuePair* qp = core.qps.find(transfer.owner.qpn);
  if (qp == nullptr || qp->epoch() != transfer.owner.epoch) return;
  const bool requester = transfer.owner.role == Role::kRequester;
  if (!core.running()) {
    requester ? qp->requester().on_transfer_lost() : qp->responder().on_transfer_lost(core);
  } else if (requester) {
    qp->requester().on_transfer_done(core, error, data);
  } else {
    qp->responder().on_transfer_done(core, error, data);
  }
}

}  // namespace peermr::nic
