// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests of dmabuf_watch and of the test importer share.
#pragma once

#include <peermr/dmabuf_watch.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <peermr/peermr.hpp>
#include <string>

#include "harness/lab.hpp"

namespace watch_test {

using Clock = std::chrono::steady_clock;

using guest_test::give_up;
using guest_test::lab;
using guest_test::lab_bdf;
using guest_test::must;

/// CLOCK_MONOTONIC, in the kernel's unit.
std::uint64_t now_ns();

/// The NVMe controller, owned through VFIO, and 1 MiB of its PMR.
class Owner {
 public:
  static constexpr std::uint64_t kBytes = 1u << 20;

  peermr::vfio::Device& device() { return device_; }
  /// With ranges of `kBytes` / `count`, in order, that many buffers.
  peermr::DmaBuf export_part(unsigned index = 0, unsigned count = 1) const;
  peermr::DmaBuf export_memory() const { return export_part(); }

  /// VFIO_DEVICE_RESET without the library. False with errno.
  bool reset();
  /// Through sysfs, of which VFIO knows nothing.
  void sysfs_reset() const;
  void decode(bool enabled) { must(device_.set_memory_enabled(enabled)); }

 private:
  peermr::vfio::Device device_ = must(peermr::vfio::Device::open(lab_bdf("LAB_NVME")));
};

/// Arguments of DMABUF_WATCH_CREATE for a buffer, in the name of a NIC.
dmabuf_watch_create create_args(int dmabuf_fd, std::uint32_t flags = DMABUF_WATCH_NONBLOCK);
/// A descriptor, or -1 with errno.
int create_watch(const dmabuf_watch_create& args);

class Watch {
 public:
  /// Gives up if there is none to be had.
  explicit Watch(int dmabuf_fd, std::uint32_t flags = DMABUF_WATCH_NONBLOCK);
  explicit Watch(peermr::UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  /// Nothing, with errno, when read() fails.
  std::optional<dmabuf_watch_event> read() const;
  /// What read() returns as @invalidates; 0 for EAGAIN.
  std::uint64_t take() const;
  /// Whether poll() finds something to read in time.
  bool wait(std::chrono::milliseconds limit) const;
  dmabuf_watch_status status() const;
  /// The ioctl's own errno, or 0 and the answer in `answer`.
  int probe(std::uint32_t timeout_ms, dmabuf_watch_probe& answer) const;
  /// The errno of mapping; gives up when the ioctl fails.
  int probe(std::uint32_t timeout_ms) const;

 private:
  peermr::UniqueFd fd_;
};

/// A dma-buf of one page of host memory.
peermr::UniqueFd make_udmabuf();

/// Runs `body` in another process and returns its exit status, or -1 if it was killed.
int in_child(const std::function<int()>& body);
/// Likewise, as the user nobody.
int as_nobody(const std::function<int()>& body);

/// The module's parameter, put back when this goes out of scope.
class PerUser {
 public:
  explicit PerUser(unsigned limit);
  ~PerUser();
  PerUser(const PerUser&) = delete;
  PerUser& operator=(const PerUser&) = delete;

 private:
  std::string before_;
};

/// Until it goes out of scope, SIGUSR1 arrives at the calling thread every few milliseconds, and
/// interrupts system calls.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  struct Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace watch_test
