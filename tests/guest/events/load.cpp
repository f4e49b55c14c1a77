// SPDX-License-Identifier: BSD-2-Clause
#include "events/load.hpp"

#include <filesystem>
#include <fstream>

#include "pnic/verbs.hpp"

namespace events_test {

using namespace std::chrono_literals;
using revoke_test::Clock;
using revoke_test::Traffic;

namespace {

// 0 when it is not there: it went away with its NIC.
std::uint64_t read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  file >> value;
  return value;
}

}  // namespace

static_assert(Traffic::kBytes <= Subject::kTarget);

Load::Load(const Subject& subject)
    : mr_(ibv_reg_dmabuf_mr(
          responder_.pd(), 0, Traffic::kBytes, 0, subject.buffer(),
          IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)) {
  pnic_test::require(mr_ != nullptr, "register the buffer");
  revoke_test::connect(requester_, responder_);
  traffic_ = std::make_unique<Traffic>(requester_, Traffic::Target{0, mr_->rkey});
  pnic_test::require(progress(2 * Traffic::kSlots, 10s), "traffic");
}

Load::~Load() {
  if (traffic_) finish();
  traffic_.reset();
  deregister();
}

bool Load::progress(std::uint64_t more, std::chrono::milliseconds limit) const {
  const std::uint64_t wanted = done() + more;
  const auto deadline = Clock::now() + limit;
  while (done() < wanted) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

std::uint64_t Load::naks() const {
  return read_number("/sys/class/infiniband/" + responder_name_ + "/hw_counters/rnr_nak_tx");
}

std::string Load::finish() {
  const bool flows = progress(1, 1s);
  // What waits for RNR NAKs to end would wait for ever.
  if (!flows) {
    ibv_qp_attr attr{};
    attr.qp_state = IBV_QPS_ERR;
    ibv_modify_qp(requester_.qp(), &attr, IBV_QP_STATE);
  }
  traffic_->stop();
  const auto& error = traffic_->first_error();
  if (!error) return flows ? "flows" : "nothing";
  if (error->status == IBV_WC_WR_FLUSH_ERR) return "waits";
  error_ = ibv_wc_status_str(error->status);
  return "error";
}

bool Load::deregister() {
  if (mr_ == nullptr) return true;
  const int error = ibv_dereg_mr(mr_);
  mr_ = nullptr;
  return error == 0;
}

Sampler::Sampler(const Subject& subject) {
  const auto sample = [this](auto access, std::atomic<bool>& faulted) {
    while (!stop_) {
      if (access() == false) faulted = true;
      std::this_thread::sleep_for(500us);
    }
  };
  buffer_thread_ = std::thread([this, sample, &subject] {
    sample([&] { return subject.access_buffer(); }, buffer_faulted_);
  });
  bar_thread_ = std::thread(
      [this, sample, &subject] { sample([&] { return subject.access_bar(); }, bar_faulted_); });
}

Sampler::~Sampler() {
  stop_ = true;
  buffer_thread_.join();
  bar_thread_.join();
}

std::uint64_t forbidden_dma() {
  std::uint64_t sum = 0;
  for (const char* nic : {"LAB_NIC0", "LAB_NIC1"}) {
    const std::filesystem::path devices =
        "/sys/bus/pci/devices/" + exporter_test::lab(nic) + "/infiniband";
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(devices, none))
      for (const char* counter : {"dma_unmapped", "dma_after_invalidate"})
        sum += read_number(entry.path() / "hw_counters" / counter);
  }
  return sum;
}

}  // namespace events_test
