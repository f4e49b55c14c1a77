// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "bench/channel.hpp"
#include "bench/target_side.hpp"

namespace peermr::tool {

/// The target side of rows whose memory is in another process, asked over a channel. Moves.
class RemoteTargets final : public TargetSide {
 public:
  /// Says hello and takes the offer. Errors: as Channel; what the peer says is wrong.
  [[nodiscard]] static Result<RemoteTargets> connect(const SocketAddress& address);
  RemoteTargets(RemoteTargets&&) noexcept = default;
  RemoteTargets& operator=(RemoteTargets&&) = delete;
  ~RemoteTargets() override;

  [[nodiscard]] const std::vector<TargetInfo>& targets() const noexcept override {
    return targets_;
  }
  [[nodiscard]] const std::string& device_name() const noexcept override { return device_name_; }
  [[nodiscard]] Result<QpAddress> connect(const QpAddress& initiator) override;
  Result<void> fill(std::size_t target, const Layout& layout, std::uint64_t seed,
                    Fill what) override;
  [[nodiscard]] Result<std::optional<Mismatch>> verify(std::size_t target, const Layout& layout,
                                                       std::uint64_t seed) override;
  /// Not supported: the peer sleeps on its socket while a row runs.
  Result<void> start_receives(std::size_t target, const Layout& layout,
                              std::uint32_t count) override;
  [[nodiscard]] Result<std::uint64_t> service_receives() override;

 private:
  explicit RemoteTargets(Channel channel)
      : channel_(std::make_unique<Channel>(std::move(channel))) {}
  [[nodiscard]] Result<nlohmann::json> ask(std::string_view type, nlohmann::json message,
                                           std::string_view answer);

  std::unique_ptr<Channel> channel_;  // null after a move
  std::string device_name_;
  std::vector<TargetInfo> targets_;
};

/// Serves `targets` to one peer until it says bye. Errors: as Channel. A request that cannot be
/// granted is answered with the error and is none of ours.
Result<void> serve(Channel& channel, TargetSide& targets);

}  // namespace peermr::tool
