// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/kernel_verdict.hpp"
#include "bench/target_side.hpp"
#include "bench/target_spec.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// Registered memory of this process that a row writes to or reads from.
class TargetMemory {
 public:
  virtual ~TargetMemory() = default;
  [[nodiscard]] virtual const TargetInfo& info() const noexcept = 0;
  [[nodiscard]] virtual std::uint32_t lkey() const noexcept = 0;
  [[nodiscard]] virtual Words words() const noexcept = 0;
};

struct TargetOptions {
  std::uint64_t host_bytes = 0;         ///< size of a host memory target
  bool allow_registers = false;         ///< also BARs that are not prefetchable
  bool restore = true;                  ///< put a BAR's content back at the end
  const MapTypeProbe* probe = nullptr;  ///< none: the kernel is not asked
};

/// The target side of rows whose memory is in this process. Moves; the device must outlive it.
class LocalTargets final : public TargetSide {
 public:
  explicit LocalTargets(const BenchDevice& device) noexcept : device_(&device) {}
  LocalTargets(LocalTargets&&) noexcept = default;
  LocalTargets& operator=(LocalTargets&&) = delete;
  ~LocalTargets() override;

  /// Opens, exports and registers what `spec` names.
  /// Errors: as vfio::Device::open(), export_dma_buf() and Region::create();
  /// std::errc::operation_not_permitted for what is refused for safety.
  Result<void> add(const TargetSpec& spec, const TargetOptions& options);

  [[nodiscard]] const std::vector<TargetInfo>& targets() const noexcept override { return infos_; }
  [[nodiscard]] const std::string& device_name() const noexcept override { return device_->name(); }
  [[nodiscard]] Result<QpAddress> connect(const QpAddress& initiator) override;
  Result<void> fill(std::size_t target, const Layout& layout, std::uint64_t seed,
                    Fill what) override;
  [[nodiscard]] Result<std::optional<Mismatch>> verify(std::size_t target, const Layout& layout,
                                                       std::uint64_t seed) override;
  Result<void> start_receives(std::size_t target, const Layout& layout,
                              std::uint32_t count) override;
  [[nodiscard]] Result<std::uint64_t> service_receives() override;

 private:
  [[nodiscard]] Result<Words> words_for(std::size_t target, const Layout& layout) const;
  Result<void> post_receive();
  [[nodiscard]] Result<vfio::Device*> open_vfio(const Bdf& bdf);

  struct Receives {
    std::size_t target = 0;
    Layout layout;
    std::uint64_t posted = 0;
    std::uint64_t received = 0;
  };

  const BenchDevice* device_;
  std::map<Bdf, vfio::Device> vfio_;  // one for all BARs of a device
  std::vector<std::unique_ptr<TargetMemory>> memories_;
  std::vector<TargetInfo> infos_;
  std::optional<Endpoint> endpoint_;
  Receives receives_;
};

/// For LocalTargets: `range` of a BAR of `vfio`, exported and registered with `device`.
[[nodiscard]] Result<std::unique_ptr<TargetMemory>> make_bar_memory(const BenchDevice& device,
                                                                    vfio::Device& vfio,
                                                                    const TargetSpec& spec,
                                                                    const TargetOptions& options);

}  // namespace peermr::tool
