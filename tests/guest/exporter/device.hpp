// SPDX-License-Identifier: BSD-2-Clause
//
// A VFIO device by raw ioctls, with owners, for tests of the exporter: what the kernel answers
// shall be seen as it is. Calls return what the kernel returns, or -errno.
#pragma once

#include <peermr/peermr_export.h>
#include <peermr/peermr_vfio.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace exporter_test {

/// A variable of /etc/lab.env; ends the program when it is not set.
std::string lab(const char* name);
int lab_number(const char* name);

/// A file descriptor, or the negative errno of what should have made one.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd_or_error) : fd_(fd_or_error) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  /// The errno value, 0 when ok.
  int error() const { return fd_ >= 0 ? 0 : -fd_; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// A mapping of a descriptor, or the errno of what should have made it.
class Mapping {
 public:
  Mapping() = default;
  Mapping(int fd, std::size_t bytes, off_t offset = 0, int protection = kReadWrite,
          int flags = kShared, void* where = nullptr);
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_), error_(other.error_) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  static const int kReadWrite, kShared;

  bool ok() const { return data_ != nullptr; }
  int error() const { return error_; }
  std::size_t bytes() const { return bytes_; }
  volatile std::uint32_t* word(std::size_t byte = 0) const {
    return reinterpret_cast<volatile std::uint32_t*>(data_ + byte);
  }
  void reset();

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_ = 0;
  int error_ = 0;
};

using Range = peermr_export_range;

class Iommufd;

/// A device. The program ends when it cannot be opened.
class Device {
 public:
  /// By its group, in a container of its own.
  explicit Device(const std::string& bdf);
  /// By its character device, in an address space that others may be in too, and that must live
  /// longer.
  Device(const std::string& bdf, const Iommufd& iommufd);
  Device(Device&&) = default;

  int fd() const { return device_.get(); }
  int group() const { return group_.get(); }
  const std::string& bdf() const { return bdf_; }
  /// Memory of this process, or mapped into it, for the device and whoever else is in its container
  /// (VFIO type1) or address space (iommufd): 0 or -errno.
  int map_dma(const volatile void* address, std::uint64_t iova, std::uint64_t bytes,
              bool writable = true) const;
  /// Bytes that were unmapped, or -errno.
  std::int64_t unmap_dma(std::uint64_t iova, std::uint64_t bytes) const;
  /// Closes the device and its container; nothing else may be called then.
  void close();

  /// VFIO_DEVICE_FEATURE with `feature` and VFIO_DEVICE_FEATURE_{GET,SET,PROBE} in `flags`;
  /// `data` is copied back.
  int feature(std::uint32_t feature, std::uint32_t flags, void* data, std::size_t bytes) const;
  bool has_feature(std::uint32_t feature) const;

  /// Feature 11 of mainline.
  Fd export_dma_buf(std::uint32_t region, const std::vector<Range>& ranges,
                    std::uint32_t open_flags, std::uint32_t flags = 0) const;
  Fd export_buffer(const peermr_export_create& create) const;
  Fd export_buffer(std::uint32_t bar, const std::vector<Range>& ranges, std::uint32_t flags = 0,
                   int open_flags = -1 /* O_RDWR | O_CLOEXEC */) const;
  int revoke(int dmabuf) const;
  int rearm(int dmabuf, std::uint64_t revokes, std::uint32_t flags = 0) const;
  int make_private(std::uint32_t flags = 0) const;
  /// Ends the test program's expectations with an impossible state when it fails.
  peermr_export_query query(int dmabuf) const;
  peermr_export_info info() const;

  int reset() const;
  /// Memory decode on or off, by a write of the command register.
  int set_decode(bool on) const;

  std::uint64_t region_offset(std::uint32_t index) const;
  std::uint64_t region_bytes(std::uint32_t index) const;
  ssize_t read(std::uint32_t region, std::uint64_t offset, void* to, std::size_t bytes) const;
  ssize_t write(std::uint32_t region, std::uint64_t offset, const void* from,
                std::size_t bytes) const;
  std::uint8_t config_byte(std::uint64_t offset) const;
  /// Position of a standard capability, 0 when there is none.
  std::uint8_t capability(std::uint8_t id) const;
  Mapping map_bar(std::uint32_t bar, std::size_t bytes, std::uint64_t offset = 0) const;

 private:
  std::string bdf_;
  const Iommufd* iommufd_ = nullptr;
  Fd container_;
  Fd group_;
  Fd device_;
};

}  // namespace exporter_test
