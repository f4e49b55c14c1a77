// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "peermr/bdf.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

/// One call of the kernel's pci_p2pdma_map_type(), as a kretprobe saw it.
struct MapTypeCall {
  unsigned type = 0;     ///< enum pci_p2pdma_map_type of Linux 7.2
  std::string client;    ///< device that does the DMA; empty when the probe could not tell
  std::string provider;  ///< device whose memory it is; empty likewise
};

/// "bus address", "host bridge", "not supported", "unknown 7".
[[nodiscard]] std::string map_type_name(unsigned type);

/// The calls in the text of a trace buffer, in order. Lines that are not of our event are skipped.
[[nodiscard]] std::vector<MapTypeCall> parse_map_type_calls(std::string_view trace);

/// A kretprobe on pci_p2pdma_map_type() in a tracing instance of its own, both named after this
/// process and removed by the destructor. Moves.
class MapTypeProbe {
 public:
  /// Errors: EACCES and ENOENT without root or tracefs, with what to do; what tracefs returns, for
  /// instance when the kernel has no such function.
  [[nodiscard]] static Result<MapTypeProbe> start();

  MapTypeProbe(MapTypeProbe&& other) noexcept : tracing_(std::exchange(other.tracing_, {})) {}
  MapTypeProbe& operator=(MapTypeProbe&&) = delete;
  ~MapTypeProbe() { remove(); }

  /// What the kernel said last about `client` reaching memory of `provider` since start(): the
  /// name of the type. Empty when it was not asked.
  [[nodiscard]] Result<std::string> verdict(const Bdf& provider, const Bdf& client) const;

 private:
  explicit MapTypeProbe(std::string tracing) noexcept : tracing_(std::move(tracing)) {}
  Result<void> set_up();
  void remove() noexcept;

  std::string tracing_;  // root of tracefs; empty: nothing to remove
};

}  // namespace peermr::tool
