// SPDX-License-Identifier: BSD-2-Clause
#include "connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/checked.hpp"
#include "base/log.hpp"

namespace peermr::nic {

using namespace vfio_user;

namespace {

// So many messages are handled before the caller gets its turn: a client that floods the socket
// must not starve the other NICs.
constexpr int kMessagesPerTurn = 64;

/// The fixed structure at the beginning of a payload, or nothing if the payload is shorter.
template <typename T>
bool read_struct(std::span<const std::byte> payload, T& out) {
  if (payload.size() < sizeof(T)) return false;
  std::memcpy(&out, payload.data(), sizeof(T));
  return true;
}

/// As read_struct(), for commands with nothing after the structure.
template <typename T>
bool read_exactly(std::span<const std::byte> payload, T& out) {
  return payload.size() == sizeof(T) && read_struct(payload, out);
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace

Connection::Connection(UniqueFd socket, VfioUserDevice& device)
    : stream_(std::move(socket)), device_(device) {}

Connection::~Connection() {
  if (negotiated_) device_.on_disconnected();
}

bool Connection::serve() {
  if (broken_ || !stream_.flush()) return false;
  Message message;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    switch (stream_.receive(message)) {
      case ReceiveStatus::kAgain:
        return true;
      case ReceiveStatus::kClosed:
        return false;
      case ReceiveStatus::kViolation:
        log(LogLevel::kWarning, "vfio-user: malformed message, closing the connection");
        return false;
      case ReceiveStatus::kMessage:
        if (!handle(message) || broken_) return false;
        break;
    }
  }
  return true;
}

bool Connection::handle(Message& message) {
  const Header& header = message.header;
  const uint32_t type = header.flags & kFlagTypeMask;
  if (type == kFlagTypeReply) return handle_reply(message);
  if (type != kFlagTypeCommand) return false;
  if (!negotiated_) return handle_version(message);

  const Reply reply = dispatch(message);
  message.fds.clear();  // what was not taken is closed before the client hears of it
  if ((header.flags & kFlagNoReply) != 0) return true;
  Header out{header.id, header.command, 0, kFlagTypeReply, 0};
  if (reply.error != 0) {
    out.flags |= kFlagError;
    out.error = static_cast<uint32_t>(reply.error);
    return stream_.send(out, {});
  }
  const std::span<const int> fds(&reply.fd, reply.fd >= 0 ? 1 : 0);
  return stream_.send(out, reply.payload, {}, fds);
}

bool Connection::handle_version(const Message& message) {
  const Header& header = message.header;
  if (header.command != static_cast<uint16_t>(Command::kVersion) || !message.fds.empty()) {
    log(LogLevel::kWarning, "vfio-user: first message is command {}, not VERSION", header.command);
    return false;
  }
  auto client = parse_version(message.payload);
  if (!client) {
    log(LogLevel::kWarning, "{}", client.error().message());
    return false;
  }
  client_ = *client;
  max_transfer_bytes_ =
      static_cast<uint32_t>(std::min<uint64_t>(client_.max_data_xfer_bytes, kMaxDataXferBytes));
  negotiated_ = true;
  device_.on_connected(*this);
  const std::string text = version_reply(client_);
  const Header out{header.id, header.command, 0, kFlagTypeReply, 0};
  return stream_.send(out, std::as_bytes(std::span(text)));
}

bool Connection::handle_reply(const Message& message) {
  const Header& header = message.header;
  DmaRequest& request = requests_[header.id % kMaxDmaRequests];
  if (!request.in_use || header.id / kMaxDmaRequests != request.sequence ||
      header.command != static_cast<uint16_t>(request.command)) {
    log(LogLevel::kWarning, "vfio-user: reply {} to nothing that was asked", header.id);
    return false;
  }
  int error = 0;
  std::span<const std::byte> data;
  if ((header.flags & kFlagError) != 0) {
    error = header.error != 0 && header.error < 4096 ? static_cast<int>(header.error) : EIO;
  } else if (request.command == Command::kDmaRead) {
    DmaAccess access{};
    if (!read_struct(message.payload, access) || access.count != request.count ||
        message.payload.size() != sizeof(access) + request.count) {
      return false;
    }
    data = message.payload.subspan(sizeof(access));
  }
  // The reply to DMA_WRITE is not looked at: QEMU versions differ in how much of it they send.
  request.in_use = false;
  device_.on_dma_reply(request.cookie, error, data);
  return true;
}

Connection::Reply Connection::dispatch(Message& message) {
  const auto command = static_cast<Command>(message.header.command);
  const bool takes_fds = command == Command::kDmaMap || command == Command::kDeviceSetIrqs;
  if (!takes_fds && !message.fds.empty()) return status(EINVAL);
  switch (command) {
    case Command::kDmaMap:
      return dma_map(message);
    case Command::kDmaUnmap:
      return dma_unmap(message);
    case Command::kDeviceGetInfo:
      return device_info(message);
    case Command::kDeviceGetRegionInfo:
      return region_info(message);
    case Command::kDeviceGetIrqInfo:
      return irq_info(message);
    case Command::kDeviceSetIrqs:
      return set_irqs(message);
    case Command::kRegionRead:
      return region_read(message);
    case Command::kRegionWrite:
      return region_write(message);
    case Command::kRegionWriteMulti:
      return region_write_multi(message);
    case Command::kDeviceReset:
      if (!message.payload.empty()) return status(EINVAL);
      device_.reset();
      return {};
    case Command::kVersion:  // only once, and first
    case Command::kDmaRead:  // ours to send
    case Command::kDmaWrite:
      return status(EINVAL);
    case Command::kDeviceGetRegionIoFds:
    case Command::kDeviceFeature:
      return status(ENOTSUP);
  }
  return status(ENOSYS);
}

Connection::Reply Connection::device_info(const Message& message) {
  DeviceInfo info{};
  if (!read_exactly(message.payload, info) || info.argsz < sizeof(info)) return status(EINVAL);
  info = {sizeof(info), kDeviceFlagReset | kDeviceFlagPci, kNumRegions, kNumIrqs};
  reply_.assign(bytes_of(info).begin(), bytes_of(info).end());
  return answer(reply_);
}

Connection::Reply Connection::region_info(const Message& message) {
  RegionInfo info{};
  if (!read_exactly(message.payload, info) || info.argsz < sizeof(info)) return status(EINVAL);
  if (info.index >= kNumRegions) return status(EINVAL);
  const RegionLayout& layout = device_.region(info.index);
  const uint32_t room = info.argsz;

  info.flags = (layout.readable ? kRegionFlagRead : 0) | (layout.writeable ? kRegionFlagWrite : 0) |
               (layout.mmap_fd >= 0 ? kRegionFlagMmap : 0);
  info.size = layout.size_bytes;
  info.offset = 0;
  info.cap_offset = 0;
  info.argsz = sizeof(info);
  reply_.assign(sizeof(info), std::byte{0});
  if (layout.mmap_fd >= 0 && !layout.mmap_areas.empty()) {
    info.flags |= kRegionFlagCaps;
    info.cap_offset = sizeof(info);
    const SparseMmapCap cap{kCapSparseMmap, 1, 0, static_cast<uint32_t>(layout.mmap_areas.size()),
                            0};
    reply_.insert(reply_.end(), bytes_of(cap).begin(), bytes_of(cap).end());
    const auto areas = std::as_bytes(std::span(layout.mmap_areas));
    reply_.insert(reply_.end(), areas.begin(), areas.end());
    info.argsz = static_cast<uint32_t>(reply_.size());
  }
  std::memcpy(reply_.data(), &info, sizeof(info));
  // Too small a buffer gets what fits and the size it needs. The descriptor waits for the complete
  // answer: clients ask again, and would leak the first one.
  if (room < reply_.size()) return answer(std::span(reply_).first(sizeof(info)));
  return answer(reply_, layout.mmap_fd);
}

Connection::Reply Connection::irq_info(const Message& message) {
  IrqInfo info{};
  if (!read_exactly(message.payload, info) || info.argsz < sizeof(info)) return status(EINVAL);
  if (info.index >= kNumIrqs) return status(EINVAL);
  info.argsz = sizeof(info);
  info.flags = 0;
  info.count = 0;
  if (info.index == kMsixIrqIndex) {
    info.flags = kIrqInfoEventfd | kIrqInfoMaskable | kIrqInfoNoResize;
    info.count = device_.irqs().count();
  }
  reply_.assign(bytes_of(info).begin(), bytes_of(info).end());
  return answer(reply_);
}

Connection::Reply Connection::set_irqs(Message& message) {
  IrqSet request{};
  if (!read_struct(message.payload, request) || request.argsz < sizeof(request))
    return status(EINVAL);
  const auto data = message.payload.subspan(sizeof(request));
  if (request.index >= kNumIrqs) return status(EINVAL);
  if (request.index != kMsixIrqIndex) {
    // The other kinds have no vectors; switching nothing off succeeds.
    const bool disable = request.flags == (kIrqDataNone | kIrqActionTrigger) &&
                         request.start == 0 && request.count == 0 && message.fds.empty();
    return status(disable ? 0 : EINVAL);
  }
  return status(device_.irqs().set(request, data, message.fds));
}

Connection::Reply Connection::dma_map(Message& message) {
  DmaMap request{};
  if (!read_exactly(message.payload, request) || message.fds.size() > 1) return status(EINVAL);
  UniqueFd fd;
  if (!message.fds.empty()) fd = std::move(message.fds.front());
  return status(device_.dma_map(request, std::move(fd)));
}

Connection::Reply Connection::dma_unmap(const Message& message) {
  DmaUnmap request{};
  if (!read_exactly(message.payload, request) || request.argsz < sizeof(request))
    return status(EINVAL);
  const int error = device_.dma_unmap(request);
  reply_.assign(message.payload.begin(), message.payload.end());
  return error != 0 ? status(error) : answer(reply_);
}

Connection::Reply Connection::region_read(const Message& message) {
  RegionAccess access{};
  if (!read_exactly(message.payload, access)) return status(EINVAL);
  if (access.region >= kNumRegions || access.count > max_transfer_bytes_) return status(EINVAL);
  const RegionLayout& layout = device_.region(access.region);
  if (!layout.readable || !range_in<uint64_t>(access.offset, access.count, layout.size_bytes))
    return status(EINVAL);
  reply_.resize(sizeof(access) + access.count);
  std::memcpy(reply_.data(), &access, sizeof(access));
  const int error =
      device_.region_read(access.region, access.offset, std::span(reply_).subspan(sizeof(access)));
  return error != 0 ? status(error) : answer(reply_);
}

int Connection::write_region(uint32_t region, uint64_t offset, std::span<const std::byte> data) {
  if (region >= kNumRegions) return EINVAL;
  const RegionLayout& layout = device_.region(region);
  if (!layout.writeable || !range_in<uint64_t>(offset, data.size(), layout.size_bytes))
    return EINVAL;
  return device_.region_write(region, offset, data);
}

Connection::Reply Connection::region_write(const Message& message) {
  RegionAccess access{};
  if (!read_struct(message.payload, access)) return status(EINVAL);
  const auto data = message.payload.subspan(sizeof(access));
  if (access.count != data.size() || access.count > kMaxDataXferBytes) return status(EINVAL);
  const int error = write_region(access.region, access.offset, data);
  reply_.assign(bytes_of(access).begin(), bytes_of(access).end());
  return error != 0 ? status(error) : answer(reply_);
}

Connection::Reply Connection::region_write_multi(const Message& message) {
  uint64_t count = 0;
  if (!client_.write_multiple) return status(ENOTSUP);
  if (!read_struct(message.payload, count)) return status(EINVAL);
  const auto writes = message.payload.subspan(sizeof(count));
  if (writes.size() % sizeof(MultiWrite) != 0 || count != writes.size() / sizeof(MultiWrite))
    return status(EINVAL);
  uint64_t done = 0;
  int error = 0;
  for (; done < count && error == 0; ++done) {
    MultiWrite write{};
    std::memcpy(&write, writes.data() + done * sizeof(write), sizeof(write));
    error = write.count > sizeof(write.data)
                ? EINVAL
                : write_region(write.region, write.offset,
                               std::as_bytes(std::span(write.data, write.count)));
  }
  if (error != 0 && done == 1) return status(error);
  if (error != 0) --done;  // those before the failed one were carried out: say how many
  reply_.assign(bytes_of(done).begin(), bytes_of(done).end());
  return answer(reply_);
}

int Connection::start_request(Command command, uint64_t address, uint32_t count, uint64_t cookie) {
  if (!negotiated_ || broken_ || count == 0 || count > max_transfer_bytes_) return -1;
  const auto free = std::find_if(requests_.begin(), requests_.end(),
                                 [](const DmaRequest& r) { return !r.in_use; });
  if (free == requests_.end()) return -1;
  // The sequence makes a late or repeated answer to an older request recognisable.
  *free = {true, static_cast<uint8_t>(free->sequence + 1), command, address, count, cookie};
  const auto index = static_cast<size_t>(free - requests_.begin());
  return static_cast<int>(free->sequence * kMaxDmaRequests + index);
}

bool Connection::dma_read(uint64_t address, uint32_t count, uint64_t cookie) {
  const int id = start_request(Command::kDmaRead, address, count, cookie);
  if (id < 0) return false;
  const Header header{static_cast<uint16_t>(id), static_cast<uint16_t>(Command::kDmaRead), 0,
                      kFlagTypeCommand, 0};
  const DmaAccess access{address, count};
  broken_ = !stream_.send(header, bytes_of(access));
  return !broken_;
}

bool Connection::dma_write(uint64_t address, std::span<const std::byte> data, uint64_t cookie) {
  if (data.size() > max_transfer_bytes_) return false;
  const int id =
      start_request(Command::kDmaWrite, address, static_cast<uint32_t>(data.size()), cookie);
  if (id < 0) return false;
  const Header header{static_cast<uint16_t>(id), static_cast<uint16_t>(Command::kDmaWrite), 0,
                      kFlagTypeCommand, 0};
  const DmaAccess access{address, data.size()};
  broken_ = !stream_.send(header, bytes_of(access), data);
  return !broken_;
}

}  // namespace peermr::nic
