// SPDX-License-Identifier: BSD-2-Clause
#include "nic.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.hpp"

namespace peermr::nic {

namespace {

// What one turn moves at most, all QPs together.
constexpr uint64_t kBytesPerTurn = 256 * 1024;

// A locally administered EUI-64; the LID makes it different for each NIC.
constexpr uint64_t kGuidBase = 0x02504e4943000000;

PortAddress port_address(uint16_t lid) {
  PortAddress port;
  port.lid = lid;
  port.guid = kGuidBase + lid;
  port.gid[0] = 0xfe;
  port.gid[1] = 0x80;
  for (size_t i = 0; i < 8; ++i) port.gid[8 + i] = static_cast<uint8_t>(port.guid >> (56 - 8 * i));
  return port;
}

PciIdentity identity() {
  PciIdentity pci;
  pci.vendor_id = PNIC_PCI_VENDOR_ID;
  pci.device_id = PNIC_PCI_DEVICE_ID;
  pci.subsystem_vendor_id = PNIC_PCI_VENDOR_ID;
  pci.subsystem_id = PNIC_PCI_DEVICE_ID;
  pci.revision = PNIC_VERSION_MAJOR;
  pci.class_code = PNIC_PCI_CLASS;
  pci.bars[0] = {PNIC_BAR_REGS_SIZE, false};
  pci.bars[1] = {PNIC_BAR_DOORBELL_SIZE, true};
  pci.express_flr = true;
  pci.msix_vectors = PNIC_NUM_VECTORS;
  pci.msix_table_bar = PNIC_BAR_REGS;
  pci.msix_table_offset = PNIC_MSIX_TABLE_OFFSET;
  pci.msix_pba_bar = PNIC_BAR_REGS;
  pci.msix_pba_offset = PNIC_MSIX_PBA_OFFSET;
  return pci;
}

}  // namespace

Result<std::unique_ptr<Nic>> Nic::create(uint16_t lid, Wire& wire, NicOptions options) {
  auto doorbells = DoorbellBar::create();
  if (!doorbells) return std::move(doorbells).error();
  return std::unique_ptr<Nic>(new Nic(lid, wire, options, *std::move(doorbells)));
}

Nic::Nic(uint16_t lid, Wire& wire, NicOptions options, DoorbellBar doorbells)
    : core_(fmt::format("pnic {}", lid), port_address(lid), options, std::move(doorbells)),
      config_(identity(), *this) {
  core_.wire = &wire;
  describe_regions();
  wire.attach(*this);
}

Nic::~Nic() {
  core_.wire->detach(*this);
}

void Nic::describe_regions() {
  RegionLayout& registers = regions_[vfio_user::kBar0Region];
  registers = {PNIC_BAR_REGS_SIZE, true, true, -1, {}};
  RegionLayout& doorbells = regions_[vfio_user::kBar2Region];
  doorbells = {
      PNIC_BAR_DOORBELL_SIZE, true, true, core_.doorbells.fd(), {{0, PNIC_BAR_DOORBELL_SIZE}}};
  RegionLayout& config = regions_[vfio_user::kConfigRegion];
  config = {PciConfigSpace::kSize, true, true, -1, {}};
}

bool Nic::poll(uint64_t& moved_bytes) {
  if (!core_.running()) return false;
  bool progress = admin_.poll(core_);
  const std::vector<QueuePair*>& qps = core_.qps.live();
  uint64_t moved = 0;
  // Each turn goes on where the last one ran out of budget.
  for (size_t i = 0; i < qps.size() && moved < kBytesPerTurn && core_.running(); ++i) {
    if (next_qp_ >= qps.size()) next_qp_ = 0;
    progress = qps[next_qp_++]->poll(core_, moved) || progress;
  }
  for (CompletionQueue* cq : core_.cqs.live()) progress = cq->poll(core_) || progress;
  for (EventQueue* eq : core_.eqs.live()) progress = eq->poll(core_) || progress;
  moved_bytes += moved;
  return progress;
}

bool Nic::has_queues() const noexcept {
  return core_.running() && !core_.eqs.live().empty();
}

Clock::time_point Nic::next_deadline() const noexcept {
  auto deadline = Clock::time_point::max();
  if (!core_.running()) return deadline;
  for (QueuePair* qp : core_.qps.live()) {
    if (qp->state() == PNIC_QPS_RTS && qp->requester().waiting()) {
      deadline = std::min(deadline, qp->requester().wake_at());
    }
  }
  return deadline;
}

void Nic::on_connected(DmaChannel& channel) {
  core_.remote.connect(channel);
}

void Nic::on_disconnected() {
  core_.remote.disconnect();
  reset_function();
  config_.reset();
  on_pci_state_changed();
  core_.irqs.clear();
  core_.dma.clear();
  // The client that left may still have the doorbell memory mapped: the next one gets its own.
  if (auto fresh = DoorbellBar::create()) {
    core_.doorbells = *std::move(fresh);
    describe_regions();
  } else {
    log(LogLevel::kError, "{}: {}", core_.name, fresh.error().message());
  }
}

int Nic::dma_map(const vfio_user::DmaMap& request, UniqueFd fd) {
  if ((request.flags & ~(vfio_user::kDmaReadable | vfio_user::kDmaWriteable)) != 0) return EINVAL;
  return core_.dma.map(request.address, request.size, request.offset,
                       (request.flags & vfio_user::kDmaReadable) != 0,
                       (request.flags & vfio_user::kDmaWriteable) != 0, fd);
}

int Nic::dma_unmap(const vfio_user::DmaUnmap& request) {
  if ((request.flags & ~vfio_user::kDmaUnmapAll) != 0) return EINVAL;
  if ((request.flags & vfio_user::kDmaUnmapAll) == 0)
    return core_.dma.unmap(request.address, request.size);
  if (request.address != 0 || request.size != 0) return EINVAL;
  core_.dma.clear();
  return 0;
}

void Nic::reset() {
  reset_function();
  config_.reset();
  on_pci_state_changed();
}

void Nic::on_dma_reply(uint64_t cookie, int error, std::span<const std::byte> data) {
  core_.remote.on_reply(core_, cookie, error, data);
}

Answer Nic::on_segment(const Segment& segment) {
  QueuePair* qp = core_.running() ? core_.qps.find(segment.dest_qpn) : nullptr;
  if (qp == nullptr) return {AnswerKind::kSilence, 0};
  return qp->responder().on_segment(core_, segment);
}

void Nic::on_answer(uint32_t qpn, uint32_t sequence, const Answer& answer,
                    std::span<const std::byte> data) {
  QueuePair* qp = core_.qps.find(qpn);
  if (qp == nullptr) return;
  // What may not touch memory now cannot take the answer: as if it had been lost on the way.
  if (!core_.running())
    return qp->requester().on_answer(core_, sequence, {AnswerKind::kSilence, 0}, {});
  qp->requester().on_answer(core_, sequence, answer, data);
}

void Nic::on_pci_state_changed() {
  core_.dma_allowed = config_.bus_master() && config_.in_d0();
}

void Nic::on_function_reset(FunctionReset) {
  reset_function();
}

void Nic::reset_function() noexcept {
  core_.enabled = false;
  core_.fatal = PNIC_FATAL_NONE;
  core_.qps.clear();
  core_.cqs.clear();
  core_.eqs.clear();
  core_.regions.clear();
  core_.pds.clear();
  core_.remote.forget(0);
  std::fill(core_.uar_users.begin(), core_.uar_users.end(), 0);
  core_.doorbells.reset();
  core_.irqs.clear_pending();
  admin_ = AdminQueue();
  admin_config_ = {};
  control_ = 0;
  msix_table_.fill(std::byte{0});
  next_qp_ = 0;
}

}  // namespace peermr::nic
