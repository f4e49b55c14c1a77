// SPDX-License-Identifier: BSD-2-Clause
#include <poll.h>

#include <array>
#include <cerrno>

#include "capi/connection.hpp"

namespace peermr::capi {
namespace {

constexpr const char* kObject = "the application's channel";
static_assert(OutOfBand::kMaxMessageBytes == PEERMR_CHANNEL_MESSAGE_BYTES);

// Whatever is not 0 is an error, for good; one that is no errno value still has to be one.
Error channel_error(int status, const char* operation) {
  return errno_error(status < 0 && status > -4096 ? -status : EIO, operation, kObject);
}

class CallbackChannel final : public OutOfBand {
 public:
  explicit CallbackChannel(const peermr_channel& channel) noexcept : channel_(channel) {}

  Result<void> send(std::span<const std::byte> message) override {
    const int status = channel_.send(channel_.context, message.data(), message.size());
    if (status != 0) return channel_error(status, "send on");
    return {};
  }

  [[nodiscard]] Result<std::optional<std::vector<std::byte>>> receive() override {
    std::array<std::byte, kMaxMessageBytes> message{};
    const int length = channel_.receive(channel_.context, message.data(), message.size());
    if (length < 0) return channel_error(length, "receive from");
    if (static_cast<std::size_t>(length) > message.size()) {
      return make_error(std::errc::message_size, "receive from", kObject,
                        "it says that the message is longer than there was room for");
    }
    if (length == 0) return std::optional<std::vector<std::byte>>();
    return std::optional(std::vector<std::byte>(message.begin(), message.begin() + length));
  }

  Result<void> flush() override {
    if (channel_.flush == nullptr) return {};
    const int status = channel_.flush(channel_.context);
    if (status != 0) return channel_error(status, "send on");
    return {};
  }

  [[nodiscard]] int fd() const noexcept override { return channel_.fd; }
  [[nodiscard]] short events() const noexcept override {
    return channel_.events == nullptr ? short{POLLIN} : channel_.events(channel_.context);
  }

 private:
  const peermr_channel channel_;
};

}  // namespace

Result<std::unique_ptr<OutOfBand>> make_channel(const peermr_channel& channel) {
  const auto refused = [](const char* why) {
    return make_error(std::errc::invalid_argument, "use", kObject, why);
  };
  if (channel.size != sizeof(channel)) {
    return refused("channel.size is not the size of the struct");
  }
  if (channel.reserved != 0) return refused("channel.reserved is not 0");
  if (channel.send == nullptr || channel.receive == nullptr) {
    return refused("it has no send or no receive function");
  }
  return std::unique_ptr<OutOfBand>(std::make_unique<CallbackChannel>(channel));
}

}  // namespace peermr::capi
