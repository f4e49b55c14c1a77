// SPDX-License-Identifier: BSD-2-Clause
#include "watch/support.hpp"

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

namespace watch_test {
namespace {

constexpr const char* kPerUser = "/sys/module/dmabuf_watch/parameters/per_user";
constexpr uid_t kNobody = 65534;

}  // namespace

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

peermr::DmaBuf Owner::export_part(unsigned index, unsigned count) const {
  const peermr::BarIndex bar(static_cast<std::uint8_t>(std::stoi(lab("LAB_PMR_BAR"))));
  const std::uint64_t bytes = kBytes / count;
  return must(device_.export_dma_buf(bar, {index * bytes, bytes}));
}

bool Owner::reset() {
  return ::ioctl(device_.fd(), VFIO_DEVICE_RESET) == 0;
}

void Owner::sysfs_reset() const {
  std::ofstream file("/sys/bus/pci/devices/" + lab("LAB_NVME") + "/reset");
  if (!(file << "1" << std::flush)) give_up("cannot reset through sysfs");
}

dmabuf_watch_create create_args(int dmabuf_fd, std::uint32_t flags) {
  const peermr::Bdf nic = lab_bdf("LAB_NIC0");
  dmabuf_watch_create args{};
  args.size = sizeof(args);
  args.flags = flags;
  args.dmabuf_fd = dmabuf_fd;
  args.pci_domain = nic.domain();
  args.pci_bus = nic.bus();
  args.pci_devfn = static_cast<std::uint8_t>(nic.device() << 3 | nic.function());
  return args;
}

int create_watch(const dmabuf_watch_create& args) {
  static const int device = ::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC);
  if (device < 0) give_up("/dev/dmabuf_watch: " + std::string(std::strerror(errno)));
  return ::ioctl(device, DMABUF_WATCH_CREATE, &args);
}

Watch::Watch(int dmabuf_fd, std::uint32_t flags)
    : fd_(create_watch(create_args(dmabuf_fd, flags))) {
  if (!fd_) give_up("DMABUF_WATCH_CREATE: " + std::string(std::strerror(errno)));
}

std::optional<dmabuf_watch_event> Watch::read() const {
  dmabuf_watch_event event{};
  const ssize_t bytes = ::read(fd(), &event, sizeof(event));
  if (bytes < 0) return std::nullopt;
  if (bytes != sizeof(event) || event.invalidates == 0) give_up("a read of a watch is no event");
  return event;
}

std::uint64_t Watch::take() const {
  const auto event = read();
  if (!event && errno != EAGAIN) give_up("read: " + std::string(std::strerror(errno)));
  return event ? event->invalidates : 0;
}

bool Watch::wait(std::chrono::milliseconds limit) const {
  pollfd poll{.fd = fd(), .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, static_cast<int>(limit.count())) == 1 && poll.revents == POLLIN;
}

dmabuf_watch_status Watch::status() const {
  dmabuf_watch_status status{};
  status.size = sizeof(status);
  if (::ioctl(fd(), DMABUF_WATCH_STATUS, &status) != 0)
    give_up("DMABUF_WATCH_STATUS: " + std::string(std::strerror(errno)));
  return status;
}

int Watch::probe(std::uint32_t timeout_ms, dmabuf_watch_probe& answer) const {
  answer = {};
  answer.size = sizeof(answer);
  answer.timeout_ms = timeout_ms;
  return ::ioctl(fd(), DMABUF_WATCH_PROBE, &answer) == 0 ? 0 : errno;
}

int Watch::probe(std::uint32_t timeout_ms) const {
  dmabuf_watch_probe answer{};
  const int error = probe(timeout_ms, answer);
  if (error != 0) give_up("DMABUF_WATCH_PROBE: " + std::string(std::strerror(error)));
  return answer.error;
}

peermr::UniqueFd make_udmabuf() {
  constexpr std::uint64_t kBytes = 4096;
  const peermr::UniqueFd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
  const peermr::UniqueFd memory(::memfd_create("watch", MFD_ALLOW_SEALING | MFD_CLOEXEC));
  if (!device || !memory || ::ftruncate(memory.get(), kBytes) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    give_up("no udmabuf: " + std::string(std::strerror(errno)));
  udmabuf_create create{};
  create.memfd = static_cast<std::uint32_t>(memory.get());
  create.flags = UDMABUF_FLAGS_CLOEXEC;
  create.size = kBytes;
  peermr::UniqueFd buffer(::ioctl(device.get(), UDMABUF_CREATE, &create));
  if (!buffer) give_up("UDMABUF_CREATE: " + std::string(std::strerror(errno)));
  return buffer;
}

int in_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) std::_Exit(body());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int as_nobody(const std::function<int()>& body) {
  return in_child([&] {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) give_up("setuid");
    return body();
  });
}

PerUser::PerUser(unsigned limit) {
  std::ifstream(kPerUser) >> before_;
  std::ofstream file(kPerUser);
  if (before_.empty() || !(file << limit << std::flush)) give_up("cannot set per_user");
}

PerUser::~PerUser() {
  std::ofstream(kPerUser) << before_ << std::flush;
}

struct Interrupts::Thread {
  explicit Thread(pthread_t whom)
      : thread([this, whom] {
          while (!done) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            ::pthread_kill(whom, SIGUSR1);
          }
        }) {}

  std::atomic<bool> done = false;
  std::thread thread;
};

Interrupts::Interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  thread_ = std::make_unique<Thread>(::pthread_self());
}

Interrupts::~Interrupts() {
  thread_->done = true;
  thread_->thread.join();
}

}  // namespace watch_test
