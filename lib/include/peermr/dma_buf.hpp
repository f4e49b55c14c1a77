// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "peermr/bdf.hpp"
#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr {

namespace detail {
struct DmaBufState;
}

/// A dma-buf: memory of a device behind a file descriptor, which drivers of other devices import.
///
/// A handle to shared state: a Region that was made from it keeps the buffer open by itself, so
/// that it can register again. Moves; share() makes a second handle. Const functions are
/// thread-safe.
class PEERMR_API DmaBuf {
 public:
  /// Takes a dma-buf that came from elsewhere (another exporter, another process). Of its revokes
  /// the library learns from a Monitor, or else from the errors of completions only. `name` appears
  /// in messages.
  /// Errors: std::errc::invalid_argument when `fd` is not a dma-buf, or the errno of asking for its
  /// size.
  [[nodiscard]] static Result<DmaBuf> adopt(UniqueFd fd, std::string name = {});

  /// For Device::export_dma_buf().
  explicit DmaBuf(std::shared_ptr<detail::DmaBufState> state) noexcept;

  DmaBuf(DmaBuf&&) noexcept = default;
  DmaBuf& operator=(DmaBuf&&) noexcept = default;
  ~DmaBuf() = default;

  /// A second handle to the same buffer and descriptor.
  [[nodiscard]] DmaBuf share() const;

  /// Borrowed: valid as long as a handle or a Region made from it lives.
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] std::uint64_t size_bytes() const noexcept;
  /// The device whose memory it is; none when adopted.
  [[nodiscard]] const std::optional<Bdf>& exporter() const noexcept;
  /// For messages: "0000:04:00.0 BAR 2".
  [[nodiscard]] const std::string& name() const noexcept;

  [[nodiscard]] const std::shared_ptr<detail::DmaBufState>& state() const noexcept {
    return state_;
  }

 private:
  std::shared_ptr<detail::DmaBufState> state_;
};

}  // namespace peermr
