// SPDX-License-Identifier: BSD-2-Clause
//
// Fuzz target: any bytes, with any descriptors, from a vfio-user client.
//
// The first byte chooses whether the version is negotiated beforehand. Then come records: a control
// byte (bit 0: a header with the right size goes in front, so that the fuzzer need not guess it;
// bits 1-3: how many descriptors; bits 4-5: which), a length byte in units of 4, and so many bytes.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine.hpp"
#include "fuzz_driver.hpp"
#include "in_process_wire.hpp"
#include "peermr/log.hpp"

namespace {

using namespace peermr;
using namespace peermr::nic;

struct World {
  World() {
    set_log_level(LogLevel::kOff);
    EngineOptions options;
    path = "/tmp/pnic-fuzz-" + std::to_string(::getpid());
    options.sockets = {path};
    auto created = Engine::create(options, wire);
    if (!created) {
      std::fprintf(stderr, "%s\n", created.error().message().c_str());
      std::abort();
    }
    engine = *std::move(created);
    memory = ::memfd_create("fuzz", MFD_CLOEXEC);
    if (::ftruncate(memory, 1 << 20) != 0) std::abort();
    event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  }

  void pump() {
    engine->run_once();
    engine->loop().wait(std::chrono::nanoseconds(0));
    engine->run_once();
  }

  InProcessWire wire;
  std::unique_ptr<Engine> engine;
  std::string path;
  int memory = -1;
  int event = -1;
  int null = -1;
};

World& world() {
  static World instance;
  return instance;
}

void send(int socket, const std::vector<uint8_t>& bytes, const std::vector<int>& fds) {
  alignas(cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = {};
  iovec iov{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  if (!fds.empty()) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  const ssize_t sent = ::sendmsg(socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
  static_cast<void>(sent);
}

void drain(int socket) {
  static std::vector<char> buffer(1 << 16);
  while (::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World& w = world();
  if (size == 0) return 0;
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, w.path.c_str(), w.path.size() + 1);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) std::abort();
  if ((data[0] & 1) != 0) {
    const vfio_user::Header header{0, 1, 20, 0, 0};
    std::vector<uint8_t> version(20);
    std::memcpy(version.data(), &header, sizeof(header));
    send(socket, version, {});
  }
  w.pump();
  const int choices[] = {w.memory, w.event, w.null, socket};
  for (size_t at = 1; at + 2 <= size;) {
    const uint8_t control = data[at];
    const size_t length = std::min<size_t>(size_t{data[at + 1]} * 4, size - at - 2);
    const uint8_t* body = data + at + 2;
    at += 2 + length;
    std::vector<uint8_t> bytes(body, body + length);
    if ((control & 1) != 0 && length >= 4) {
      // The first two bytes are the command; two more the flags.
      vfio_user::Header header{};
      header.id = 1;
      header.command = body[0] % 20;
      header.flags = body[1] % 64;
      header.size = static_cast<uint32_t>(sizeof(header) + length - 4);
      bytes.assign(sizeof(header), 0);
      std::memcpy(bytes.data(), &header, sizeof(header));
      bytes.insert(bytes.end(), body + 4, body + length);
    }
    if (bytes.empty()) continue;
    send(socket, bytes, std::vector<int>((control >> 1) & 7, choices[(control >> 4) & 3]));
    w.pump();
    drain(socket);
  }
  ::close(socket);
  for (int i = 0; i < 100 && w.engine->server(0).has_client(); ++i) w.pump();
  if (w.engine->server(0).has_client()) std::abort();  // the client is gone, the server must notice
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_seeds() {
  const auto record = [](uint8_t control, std::vector<uint8_t> body) {
    body.resize((body.size() + 3) / 4 * 4);
    body.insert(body.begin(), {control, static_cast<uint8_t>(body.size() / 4)});
    return body;
  };
  const auto with_u32 = [](uint8_t command, std::initializer_list<uint32_t> words) {
    std::vector<uint8_t> body = {command, 0, 0, 0};
    for (const uint32_t word : words) {
      for (int i = 0; i < 4; ++i) body.push_back(static_cast<uint8_t>(word >> (8 * i)));
    }
    return body;
  };
  std::vector<std::vector<uint8_t>> seeds = {
      {1}, {0, 0, 4, 1, 0, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  std::vector<uint8_t> all = {1};
  for (const auto& part :
       {record(1, with_u32(4, {16, 0, 0, 0})), record(1, with_u32(5, {256, 0, 2, 0, 0, 0, 0, 0})),
        record(1, with_u32(7, {16, 0, 2, 0})), record(0x13, with_u32(8, {20, 0x24, 2, 0, 1})),
        record(1, with_u32(8, {20, 0x21, 2, 0, 1})),
        record(3, with_u32(2, {32, 3, 0, 0, 0x100000, 0, 0x100000, 0})),
        record(1, with_u32(2, {32, 3, 0, 0, 0x400000, 0, 0x100000, 0})),
        record(1, with_u32(10, {4, 0, 7, 4, 6})), record(1, with_u32(9, {0, 0, 0, 4})),
        record(1, with_u32(10, {0x10, 0, 0, 4, 1})),
        record(1, with_u32(3, {24, 0, 0x100000, 0, 0x100000, 0})), record(1, with_u32(13, {})),
        record(1, with_u32(15, {1, 0, 4, 0, 7, 2, 2, 0}))}) {
    std::vector<uint8_t> one = {1};
    one.insert(one.end(), part.begin(), part.end());
    seeds.push_back(one);
    all.insert(all.end(), part.begin(), part.end());
  }
  seeds.push_back(all);
  return seeds;
}
