// SPDX-License-Identifier: BSD-2-Clause
//
// The device whose memory is taken away, as its owner sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

#include "exporter/device.hpp"
#include "exporter/fault.hpp"

namespace events_test {

using exporter_test::Device;
using exporter_test::Fd;
using exporter_test::Mapping;

/// Whose memory it is. Ends the program when the name is none of them.
enum class Kind : std::uint8_t { kNvme, kMem0, kIvshmem };
Kind kind_of(const std::string& name);

/// Runs `command` in bash, with the functions of tests/guest/lib; returns its exit status.
int shell(const std::string& command);

/// An owner with everything open that an owner can have open: the VFIO device, a mapping of the BAR
/// through it, a buffer, a mapping of the buffer (where the exporter has that), and a watch that
/// counts what an importer is called for.
class Subject {
 public:
  /// What traffic writes to, and behind it a pattern that nobody writes to.
  static constexpr std::uint64_t kTarget = 256 << 10;
  static constexpr std::uint64_t kPattern = 16 << 10;
  static constexpr std::uint64_t kBytes = 512 << 10;

  explicit Subject(Kind kind);
  ~Subject();

  Kind kind() const { return kind_; }
  const std::string& bdf() const { return bdf_; }
  /// The driver that it is bound to: "peermr_vfio" or "vfio-pci".
  const std::string& driver() const { return driver_; }
  bool ours() const { return driver_ == "peermr_vfio"; }
  Device& device() { return *device_; }
  int buffer() const { return buffer_.get(); }

  /// Invalidates since the watch was made.
  std::uint64_t callbacks() const;
  /// The buffer's state in a word; "-" where nobody says.
  std::string state() const;
  /// Mappings that importers hold; nothing where nobody says.
  std::optional<std::uint64_t> mappings() const;

  /// Whether an access to the mapping works; nothing when there is no such mapping. An access
  /// through VFIO waits as long as a reset through VFIO lasts.
  std::optional<bool> access_buffer() const;
  std::optional<bool> access_bar() const;

  /// The owner's view of the memory, for comparing; nullptr once it is closed.
  const std::uint8_t* memory() const;
  void write_pattern();
  bool pattern_kept() const;

  /// Closes the device, and the mapping of the BAR that would keep it open.
  void close();
  bool closed() const { return !device_; }
  /// The PMR answers only while the controller says so.
  void enable_memory();

 private:
  const Kind kind_;
  const std::string bdf_, driver_;
  const std::uint32_t bar_;
  std::unique_ptr<Device> device_;
  Fd buffer_, watch_;
  /// Protects bar_mapping_: it is read while the owner closes.
  mutable std::shared_mutex mutex_;
  Mapping bar_mapping_, buffer_mapping_;
};

}  // namespace events_test
