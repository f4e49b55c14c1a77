// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "peermr/export.hpp"
#include "peermr/messages.hpp"
#include "peermr/result.hpp"

namespace peermr {

/// How the two ends of a connection agree to begin, and after each error to begin again: what comes
/// when, and nothing of how. Both run one of these; it does not matter who notices an error, or
/// whether both do.
///
/// Each beginning is an epoch, counted from 1. In each, a side
///   drains its queue pair        kDrain      then drained()
///   says so                      kSendStart  then start_sent(); the message is the caller's
///   connects its queue pair      kConnect    when the peer's START is there; then connected()
///   says so                      READY, sent by the caller before connected()
///   posts what is to be posted   kResume     when the peer's READY is there; then resumed()
///
/// An error of the queue pair begins the next epoch, and so does a START of the next epoch from the
/// peer. Messages must arrive in order. Not thread-safe; nothing blocks.
class PEERMR_API Handshake {
 public:
  enum class Step { kNothing, kDrain, kSendStart, kConnect, kResume };

  /// What the caller has to do now; kNothing: wait for the peer, or all is done.
  [[nodiscard]] Step next() const noexcept;

  void drained() noexcept { drained_ = true; }
  void start_sent() noexcept { start_sent_ = true; }
  void connected() noexcept { connected_ = true; }
  void resumed() noexcept { resumed_ = true; }

  /// The queue pair has failed. True: a new epoch begins. False: the queue pair was not connected,
  /// and the error belongs to what is being done about it already.
  bool failed() noexcept;

  /// Errors: Errc::kMalformed: no peer that follows the rules sends that now.
  Result<void> on_start(const StartMessage& message);
  Result<void> on_ready(const ReadyMessage& message);

  /// Whether work may be posted.
  [[nodiscard]] bool live() const noexcept { return resumed_; }
  [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
  /// The peer's START of this epoch; null before it came.
  [[nodiscard]] const StartMessage* peer() const noexcept { return peer_ ? &*peer_ : nullptr; }

 private:
  void begin(std::uint32_t epoch) noexcept;

  std::uint32_t epoch_ = 1;
  bool drained_ = false;
  bool start_sent_ = false;
  bool connected_ = false;
  bool peer_ready_ = false;
  bool resumed_ = false;
  std::optional<StartMessage> peer_;
};

}  // namespace peermr
