// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <memory>
#include <span>

#include "peermr/queue_pair.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"

namespace peermr::detail {

struct PortSizes {
  std::uint32_t sends = 0;
  std::uint32_t receives = 0;
};

/// One RC queue pair and its completion queue: the seam between the logic of a connection and
/// libibverbs. All work is signaled. Used by one thread at a time.
class Port {
 public:
  virtual ~Port() = default;

  /// 0, or an errno value.
  [[nodiscard]] virtual int post_send(ibv_send_wr& request) noexcept = 0;
  [[nodiscard]] virtual int post_receive(ibv_recv_wr& request) noexcept = 0;
  /// How many; negative: the completion queue has failed.
  [[nodiscard]] virtual int poll(std::span<ibv_wc> completions) noexcept = 0;

  [[nodiscard]] virtual Result<QpAddress> address() = 0;
  virtual Result<void> stop() = 0;
  virtual Result<void> restart() = 0;
  virtual Result<void> connect(std::uint32_t psn, const QpAddress& peer,
                               std::uint32_t peer_psn) = 0;

  /// Readable when a completion has come since arm().
  [[nodiscard]] virtual int fd() const noexcept = 0;
  /// True: armed anew, so completions may have come unseen: poll.
  virtual Result<bool> arm() = 0;

  /// 16 bytes of memory that a READ may write to.
  [[nodiscard]] virtual ibv_sge scratch() const noexcept = 0;
  [[nodiscard]] virtual bool has_atomics() const noexcept = 0;
};

/// The real one. Borrows `pd`.
/// Errors: errno of what libibverbs is asked for, naming it.
[[nodiscard]] Result<std::unique_ptr<Port>> make_verbs_port(ibv_pd* pd,
                                                            const QpParameters& parameters,
                                                            const PortSizes& sizes);

}  // namespace peermr::detail
