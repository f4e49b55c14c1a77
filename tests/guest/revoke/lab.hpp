// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests of revocation need of the lab: where things are, and the device whose memory is
// taken away, an NVMe controller with a persistent memory region (PMR) that userspace owns.
#pragma once

#include <cstdint>
#include <peermr/peermr.hpp>
#include <random>
#include <string>

#include "harness/lab.hpp"

namespace revoke_test {

using guest_test::give_up;
using guest_test::lab;
using guest_test::lab_bdf;
using guest_test::must;

/// The objects that the kernel has for this RDMA device, as `rdma resource show` prints them, when
/// there are any; empty when it has none.
std::string objects_left(const std::string& ib_device);

/// Waits until objects_left() is empty, at most 5 s; returns what it was in the end.
std::string wait_for_no_objects(const std::string& ib_device);

/// A source of random waits that a failed run can be repeated with: prints its seed.
/// LAB_SEED in the environment chooses it.
std::mt19937 make_random();

/// The owner of the NVMe controller.
class PmrOwner {
 public:
  static constexpr std::uint64_t kBytes = 4u << 20;  ///< of the PMR that is exported

  /// Opens the device and enables its PMR.
  PmrOwner();

  peermr::vfio::Device& device() { return device_; }
  peermr::BarIndex bar() const { return bar_; }
  /// The first kBytes of the PMR, for checking what arrived. SIGBUS while it is revoked.
  const std::uint8_t* memory() const;

  peermr::DmaBuf export_memory() const;

  /// Gives the mappings up: nothing that needs them may be called afterwards.
  void unmap();

  /// PMRCTL.EN, which a controller reset clears on real hardware. The memory answers only while
  /// it is set.
  void enable_pmr();
  bool pmr_enabled() const;

 private:
  peermr::vfio::Device device_;
  peermr::BarIndex bar_;
  peermr::vfio::BarMapping registers_;
  peermr::vfio::BarMapping mapping_;
};

}  // namespace revoke_test
