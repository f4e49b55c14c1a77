// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "peermr/topology.hpp"
#include "peermr/verbs.hpp"

namespace peermr::tool {

/// A BAR and an RDMA device that might reach it.
struct PathEntry {
  Bdf provider;
  Bar bar;
  std::string provider_driver;
  std::string rdma_device;
  Bdf client;
  PathPrediction prediction;
};

/// Which devices topo shows.
struct TopoView {
  const Topology& topology;
  const std::vector<verbs::RdmaDevice>& rdma;
  bool all = false;

  /// The name of the RDMA device of a PCI function; empty when it has none.
  [[nodiscard]] std::string rdma_name(const Bdf& bdf) const;
  /// A function that somebody would use peer to peer: an RDMA device, one that VFIO has, or one
  /// with a memory of at least 64 KiB.
  [[nodiscard]] bool relevant(const PciDevice& device) const;
  /// BARs that can be memory of an RDMA region: prefetchable, a page at least, not those of RDMA
  /// devices themselves. With `all`: every memory BAR of a page.
  [[nodiscard]] std::vector<Bar> memory_bars(const PciDevice& device) const;
  /// Every such BAR with every RDMA device but its own.
  [[nodiscard]] std::vector<PathEntry> paths() const;
};

/// The devices as a tree under their host bridges.
[[nodiscard]] std::string format_tree(const TopoView& view);

/// Which BAR is reached from which RDMA device how, with the reasons below.
[[nodiscard]] std::string format_matrix(const TopoView& view);

}  // namespace peermr::tool
