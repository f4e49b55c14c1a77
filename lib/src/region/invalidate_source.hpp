// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "peermr/result.hpp"
#include "peermr/watch.hpp"

namespace peermr::detail {

/// Someone whose memory others may revoke and restore.
class Watcher {
 public:
  virtual ~Watcher() = default;

  /// Its memory was invalidated, so many times in all. Before look(), which may have to wait: an
  /// exporter keeps a buffer locked while it revokes it, and who asks for its state waits for that.
  virtual void invalidated(std::uint64_t total) { static_cast<void>(total); }

  /// There may be news, or the time has come that the last call asked for. Returns when to call
  /// again if there is no news before; none: not without news. May block; never two at once.
  virtual std::optional<std::chrono::steady_clock::time_point> look() = 0;
};

/// What one watcher is told by.
class InvalidateSource {
 public:
  virtual ~InvalidateSource() = default;

  /// How often its memory has been invalidated, and what is known of its state. Not after stop().
  [[nodiscard]] virtual Result<WatchStatus> status() const = 0;
  /// Have look() called soon, though there is no news. Does not block.
  virtual void ask() noexcept = 0;
  /// Tell no more. A call of look() may still be under way. Stopping twice is fine; not at the same
  /// time as status().
  virtual void stop() noexcept = 0;
};

/// Makes the source of a watcher, who is held weakly.
using Subscribe =
    std::function<Result<std::unique_ptr<InvalidateSource>>(const std::weak_ptr<Watcher>&)>;

}  // namespace peermr::detail
