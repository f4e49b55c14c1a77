// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "peermr/unique_fd.hpp"

namespace peermr::test {

// The protocol, as its document has it.
inline constexpr uint16_t kCmdVersion = 1;
inline constexpr uint16_t kCmdDmaMap = 2;
inline constexpr uint16_t kCmdDmaUnmap = 3;
inline constexpr uint16_t kCmdGetInfo = 4;
inline constexpr uint16_t kCmdRegionInfo = 5;
inline constexpr uint16_t kCmdIrqInfo = 7;
inline constexpr uint16_t kCmdSetIrqs = 8;
inline constexpr uint16_t kCmdRegionRead = 9;
inline constexpr uint16_t kCmdRegionWrite = 10;
inline constexpr uint16_t kCmdDmaRead = 11;
inline constexpr uint16_t kCmdDmaWrite = 12;
inline constexpr uint16_t kCmdReset = 13;
inline constexpr uint16_t kCmdWriteMulti = 15;

inline constexpr uint32_t kFlagReply = 1;
inline constexpr uint32_t kFlagNoReply = 0x10;
inline constexpr uint32_t kFlagError = 0x20;

inline constexpr uint32_t kBar0 = 0;
inline constexpr uint32_t kBar2 = 2;
inline constexpr uint32_t kConfig = 7;
inline constexpr uint32_t kMsixIndex = 2;

struct MessageHeader {
  uint16_t id;
  uint16_t command;
  uint32_t size;
  uint32_t flags;
  uint32_t error;
};

/// A byte string under construction: fields in host order, one after the other.
class Payload {
 public:
  Payload& u16(uint16_t value) { return add(&value, sizeof(value)); }
  Payload& u32(uint32_t value) { return add(&value, sizeof(value)); }
  Payload& u64(uint64_t value) { return add(&value, sizeof(value)); }
  Payload& raw(const void* data, size_t size) { return add(data, size); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  Payload& add(const void* data, size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
    return *this;
  }
  std::vector<std::byte> bytes_;
};

struct Reply {
  bool closed = false;  // the server has closed the connection instead
  uint32_t error = 0;   // errno of an error reply; 0: success
  std::vector<std::byte> payload;
  std::vector<UniqueFd> fds;

  bool ok() const { return !closed && error == 0; }
  template <typename T>
  T at(size_t offset) const {
    T value{};
    if (offset + sizeof(T) <= payload.size())
      std::memcpy(&value, payload.data() + offset, sizeof(T));
    return value;
  }
};

/// A vfio-user client that can also misbehave. Blocking; one thread at a time. Broken promises of
/// the server (silence for ten seconds, replies to nothing) throw.
class VfioClient {
 public:
  /// Connects and, unless told otherwise, negotiates the version.
  explicit VfioClient(const std::string& path, bool negotiate_version = true);

  static std::string default_capabilities();
  Reply negotiate(uint16_t major, uint16_t minor, const std::string& json, bool terminated = true);

  /// Sends a command and waits for its reply; serves DMA requests meanwhile.
  Reply call(uint16_t command, std::span<const std::byte> payload, std::span<const int> fds = {});
  Reply call(uint16_t command, const Payload& payload, std::span<const int> fds = {}) {
    return call(command, payload.bytes(), fds);
  }

  /// Sends without waiting; returns the message's id.
  uint16_t post(uint16_t command, std::span<const std::byte> payload, uint32_t flags = 0,
                std::span<const int> fds = {});
  Reply wait_for(uint16_t id);

  /// Sends any bytes at all. False if the connection is gone.
  bool send_raw(std::span<const std::byte> bytes, std::span<const int> fds = {});

  /// Waits until the server has closed the connection; false after two seconds.
  bool wait_closed();

  /// Handles what the server asks for in the meantime, for at most this long.
  void serve(int timeout_ms);

  // Requests of well-behaved clients. They throw if the server refuses.
  uint64_t read(uint32_t region, uint64_t offset, size_t size);
  void write(uint32_t region, uint64_t offset, uint64_t value, size_t size);
  Reply dma_map(uint64_t iova, uint64_t size, uint64_t offset, int fd, uint32_t flags = 3);
  Reply dma_unmap(uint64_t iova, uint64_t size, uint32_t flags = 0);
  Reply set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                 std::span<const int> fds = {}, std::span<const std::byte> data = {});
  Reply region_info(uint32_t index, uint32_t argsz);

  /// Memory that only this client can reach, by address; for DMA_READ and DMA_WRITE of the server.
  struct RemoteMemory {
    uint64_t address = 0;
    std::vector<std::byte> bytes;
    bool fail = false;  // answer with an error
  };
  RemoteMemory remote;
  bool hold_dma = false;  // keep the server's requests unanswered for now
  size_t dma_requests = 0;
  void release_dma();

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  struct Incoming {
    MessageHeader header;
    std::vector<std::byte> payload;
    std::vector<UniqueFd> fds;
  };

  bool receive(Incoming& message, int timeout_ms);
  void answer_dma(const Incoming& request);

  UniqueFd socket_;
  uint16_t next_id_ = 1;
  std::map<uint16_t, Reply> replies_;
  std::vector<Incoming> held_;
};

}  // namespace peermr::test
