// SPDX-License-Identifier: BSD-2-Clause
// Preloaded into a program, stands between it (libibverbs, mostly) and the kernel: /dev/infiniband/
// uverbsN of the directory PEERMR_NATIVE_DIR opens a Context. A descriptor of /dev/null takes the
// file's place, so that everything else about it (fstat, dup, poll, …) is the kernel's business.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <linux/netlink.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "context.hpp"
#include "dma_buf_table.hpp"
#include "peermr_native.h"

#define PEERMR_INTERPOSE extern "C" __attribute__((visibility("default")))

namespace peermr::native {
namespace {

constexpr int kMaxFds = 4096;

// Contexts by descriptor. Readers take no lock: close(2) is called from everywhere.
std::array<std::atomic<Context*>, kMaxFds> contexts;

// Taken to add and to remove, and to walk through all.
std::mutex contexts_mutex;

Context* context_of(int fd) {
  return fd >= 0 && fd < kMaxFds ? contexts[static_cast<size_t>(fd)].load() : nullptr;
}

int real_openat(const char* path, int flags, mode_t mode) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

/// The device number of a uverbs path, -1 for other paths.
int device_index(const char* path) {
  int index = -1;
  int end = 0;
  if (path == nullptr || std::sscanf(path, "/dev/infiniband/uverbs%d%n", &index, &end) != 1 ||
      path[end] != '\0')
    return -1;
  return index;
}

const char* native_dir() { return std::getenv("PEERMR_NATIVE_DIR"); }

int open_device(int index, int flags) {
  std::unique_ptr<Context> context;
  if (const int error = Context::open(native_dir(), index, context)) {
    errno = error;
    return -1;
  }
  const int fd = real_openat("/dev/null", flags, 0);
  if (fd < 0) return -1;
  if (fd >= kMaxFds) {
    ::syscall(SYS_close, fd);
    errno = EMFILE;
    return -1;
  }
  const std::lock_guard guard(contexts_mutex);
  contexts[static_cast<size_t>(fd)].store(context.release());
  return fd;
}

int open_any(const char* path, int flags, mode_t mode) {
  const int index = native_dir() != nullptr ? device_index(path) : -1;
  return index >= 0 ? open_device(index, flags) : real_openat(path, flags, mode);
}

int stat_any(const char* path, struct stat* st) {
  using Stat = int (*)(const char*, struct stat*);
  static const auto real = reinterpret_cast<Stat>(::dlsym(RTLD_NEXT, "stat"));
  // Whether the device exists is what its socket says.
  const int index = native_dir() != nullptr ? device_index(path) : -1;
  if (index < 0) return real(path, st);
  const std::string socket =
      std::string(native_dir()) + "/pnic" + std::to_string(index) + ".sock";
  if (const int error = real(socket.c_str(), st)) return error;
  return real("/dev/null", st);
}

void* map_any(void* at, size_t length, int prot, int flags, int fd, off_t offset) {
  if (Context* const context = context_of(fd))
    return context->map(length, prot, flags, static_cast<uint64_t>(offset));
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, length, prot, flags, fd, offset));
}

// A child has neither the device's thread nor a connection of its own: to it the descriptors are
// those of /dev/null.
void forget_in_child() {
  for (auto& entry : contexts) entry.store(nullptr);
  Device::forget_all();
}

[[maybe_unused]] const int fork_handler = ::pthread_atfork(nullptr, nullptr, &forget_in_child);

/// Calls `function` for each context, with its device locked.
template <typename Function>
void for_each_context(Function function) {
  const std::lock_guard guard(contexts_mutex);
  for (auto& entry : contexts) {
    Context* const context = entry.load();
    if (context == nullptr) continue;
    const std::lock_guard device(context->device().lock());
    function(*context);
  }
}

int change_dma_buf(int fd, DmaBufState state) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return EBADF;
  if (dma_buf_state(st.st_dev, st.st_ino) == DmaBufState::kDead)
    return state == DmaBufState::kDead ? 0 : ENODEV;
  set_dma_buf_state(st.st_dev, st.st_ino, state);
  for_each_context([&](Context& context) {
    if (state == DmaBufState::kLive)
      context.restore_dma_buf(st.st_dev, st.st_ino);
    else
      context.invalidate_dma_buf(st.st_dev, st.st_ino, state == DmaBufState::kDead);
  });
  return 0;
}

}  // namespace
}  // namespace peermr::native

using namespace peermr::native;

#define PEERMR_OPEN(name)                                                             \
  PEERMR_INTERPOSE int name(const char* path, int flags, ...) {                       \
    mode_t mode = 0;                                                                  \
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {                 \
      va_list arguments;                                                              \
      va_start(arguments, flags);                                                     \
      mode = va_arg(arguments, mode_t);                                               \
      va_end(arguments);                                                              \
    }                                                                                 \
    return open_any(path, flags, mode);                                               \
  }
PEERMR_OPEN(open)
PEERMR_OPEN(open64)

PEERMR_INTERPOSE int __open_2(const char* path, int flags) { return open_any(path, flags, 0); }
PEERMR_INTERPOSE int __open64_2(const char* path, int flags) { return open_any(path, flags, 0); }

PEERMR_INTERPOSE int stat(const char* path, struct stat* st) noexcept { return stat_any(path, st); }
PEERMR_INTERPOSE int stat64(const char* path, struct stat64* st) noexcept {
  static_assert(sizeof(struct stat) == sizeof(struct stat64), "64-bit platforms only");
  return stat_any(path, reinterpret_cast<struct stat*>(st));
}

PEERMR_INTERPOSE int close(int fd) {
  Context* context = context_of(fd);
  if (context != nullptr) {
    const std::lock_guard guard(contexts_mutex);
    context = contexts[static_cast<size_t>(fd)].exchange(nullptr);
  }
  delete context;
  return static_cast<int>(::syscall(SYS_close, fd));
}

PEERMR_INTERPOSE int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  Context* const context = context_of(fd);
  if (context == nullptr) return static_cast<int>(::syscall(SYS_ioctl, fd, request, argument));
  const int error = request == RDMA_VERBS_IOCTL
                        ? context->ioctl(*static_cast<ib_uverbs_ioctl_hdr*>(argument))
                        : ENOTTY;
  if (error == 0) return 0;
  errno = error;
  return -1;
}

PEERMR_INTERPOSE void* mmap(void* at, size_t length, int prot, int flags, int fd,
                            off_t offset) noexcept {
  return map_any(at, length, prot, flags, fd, offset);
}
PEERMR_INTERPOSE void* mmap64(void* at, size_t length, int prot, int flags, int fd,
                              off64_t offset) noexcept {
  return map_any(at, length, prot, flags, fd, offset);
}

// The name of a descriptor's file tells a dma-buf from other files.
PEERMR_INTERPOSE ssize_t readlink(const char* path, char* target, size_t size) noexcept {
  constexpr std::string_view kOurs = "/memfd:peermr-native-dma-buf";
  static_assert(kOurs.substr(7) == kNativeDmaBufName);
  constexpr std::string_view kKernels = "/dmabuf:";
  const ssize_t length = ::syscall(SYS_readlink, path, target, size);
  if (length < 0 || !std::string_view(target, static_cast<size_t>(length)).starts_with(kOurs))
    return length;
  return static_cast<ssize_t>(kKernels.copy(target, size));
}

PEERMR_INTERPOSE int munmap(void* at, size_t length) noexcept {
  if (length == kPage && KickPages::unmap(at)) return 0;
  return static_cast<int>(::syscall(SYS_munmap, at, length));
}

// libibverbs asks netlink for devices first, and sysfs only where there is no netlink for RDMA.
PEERMR_INTERPOSE int socket(int domain, int type, int protocol) noexcept {
  if (domain == AF_NETLINK && protocol == NETLINK_RDMA && native_dir() != nullptr) {
    errno = EPROTONOSUPPORT;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}

PEERMR_INTERPOSE int peermr_native_dmabuf_revoke(int fd) {
  return change_dma_buf(fd, DmaBufState::kRevoked);
}
PEERMR_INTERPOSE int peermr_native_dmabuf_restore(int fd) {
  return change_dma_buf(fd, DmaBufState::kLive);
}
PEERMR_INTERPOSE int peermr_native_dmabuf_kill(int fd) {
  return change_dma_buf(fd, DmaBufState::kDead);
}

PEERMR_INTERPOSE int peermr_native_stat(int cmd_fd, unsigned int counter,
                                        unsigned long long* value) {
  Context* const context = context_of(cmd_fd);
  if (context == nullptr) return EBADF;
  if (counter >= PNIC_STAT_COUNT) return EINVAL;
  uint64_t stats[PNIC_STAT_COUNT] = {};
  const std::lock_guard guard(context->device().lock());
  const int error =
      context->device().admin().query(PNIC_CMD_QUERY_STATS, 0, stats, sizeof(stats));
  *value = stats[counter];
  return error;
}
