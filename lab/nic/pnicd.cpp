// SPDX-License-Identifier: BSD-2-Clause
//
// pnicd: pnic devices as vfio-user servers. See --help.

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "engine.hpp"
#include "in_process_wire.hpp"
#include "lossy_wire.hpp"
#include "memory_device.hpp"
#include "memory_options.hpp"
#include "pnicd_version.hpp"
#include "server.hpp"

namespace {

using namespace peermr;
using namespace peermr::nic;

constexpr const char* kDescription =
    R"(pnicd - a small RDMA NIC in software, as a vfio-user server

Each --socket is one pnic device (PCI 1234:504e) for one virtual machine or test client. All devices of
one pnicd are joined by a wire: they have the LIDs 1, 2, ... in the order of their sockets, and a device
reaches itself as well. docs/nic-spec.md describes the device.

With QEMU 10.1 or newer, guest memory must be a shared memfd:

  pnicd --socket /tmp/nic0 --socket /tmp/nic1 &
  qemu-system-x86_64 -m 2G -machine q35,memory-backend=ram \
    -object memory-backend-memfd,id=ram,size=2G,share=on \
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/nic0"}}' \
    -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/nic1"}}' ...

Each --memory-device is one more device (PCI 1234:504f): memory behind BARs, without a way to the wire.
SIZE is that of BAR 2; volatile memory is cleared by a reset. docs/memory-device.md describes it.

A device serves one client at a time, and a new one when that has gone. pnicd runs in the foreground, on
one thread, until SIGTERM or SIGINT; it needs no privileges. Who may connect to a socket (mode 0600) may
make pnicd map its files, so a socket belongs to who runs pnicd.)";

constexpr const char* kFooter =
    "Exit status: 0 after SIGTERM or SIGINT; 1 when it cannot start; 2 for bad options.";

/// Ends the engine when one of the blocked signals arrives.
class SignalHandler final : public EventHandler {
 public:
  SignalHandler(int fd, Engine& engine) : fd_(fd), engine_(engine) {}
  void on_event(uint32_t) override {
    signalfd_siginfo info{};
    if (::read(fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) engine_.stop();
  }

 private:
  int fd_;
  Engine& engine_;
};

int fail(const Error& error) {
  std::fprintf(stderr, "pnicd: %s\n", error.message().c_str());
  return 1;
}

/// The scheduler's struct sched_attr; C libraries have had it only lately.
struct SchedulingAttributes {
  uint32_t size = sizeof(SchedulingAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};

/// Asks for short time slices (Linux 6.12 and newer; without effect before). With more busy guests
/// than cores, a woken pnicd may otherwise wait for the end of somebody's slice, milliseconds for
/// each message; who asks for less at a time gets its turn earlier. It gets no more of the
/// processor than its share.
void ask_for_short_slices() {
  SchedulingAttributes attributes;
  attributes.nice = ::getpriority(PRIO_PROCESS, 0);
  attributes.runtime_ns = 100'000;
  ::syscall(SYS_sched_setattr, 0, &attributes, 0u);
}

/// A VMM with an IOMMU sends a descriptor with every page; bursts of them must not hit the usual
/// limit.
void raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// A memory device with its socket. The server goes first: it uses the device.
struct ServedMemory {
  std::unique_ptr<MemoryDevice> device;
  std::unique_ptr<Server> server;

  static Result<ServedMemory> create(const MemoryDeviceOptions& options, EventLoop& loop) {
    auto device = MemoryDevice::create(options);
    if (!device) return std::move(device).error();
    auto server = Server::listen(options.socket, **device, loop);
    if (!server) return std::move(server).error();
    return ServedMemory{*std::move(device), *std::move(server)};
  }
};

/// `lose`: one in so many segments; 0: none.
int serve(const EngineOptions& options, const std::vector<MemoryDeviceOptions>& memories,
          uint32_t lose) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0)
    return fail(errno_error(errno, "block signals"));
  const UniqueFd signal_fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd) return fail(errno_error(errno, "signalfd"));
  // Timers of a NIC are microseconds; the default slack of 50 would drown them.
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  ask_for_short_slices();
  raise_open_file_limit();

  InProcessWire wire;
  LossyWire lossy(wire, std::max(lose, 1u));
  auto engine = lose == 0 ? Engine::create(options, wire) : Engine::create(options, lossy);
  if (!engine) return fail(engine.error());
  std::vector<ServedMemory> served;
  for (const MemoryDeviceOptions& memory : memories) {
    auto created = ServedMemory::create(memory, (*engine)->loop());
    if (!created) return fail(created.error());
    served.push_back(*std::move(created));
  }
  SignalHandler handler(signal_fd.get(), **engine);
  if (auto added = (*engine)->loop().add(signal_fd.get(), /*EPOLLIN*/ 1, &handler); !added)
    return fail(added.error());
  log(LogLevel::kInfo, "pnicd: {} devices ready", options.sockets.size() + memories.size());
  (*engine)->run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  EngineOptions options;
  std::vector<std::string> memory_texts;
  uint32_t lose = 0;
  std::string level = "warning";
  const std::map<std::string, LogLevel> levels = {
      {"trace", LogLevel::kTrace},     {"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo},
      {"warning", LogLevel::kWarning}, {"error", LogLevel::kError}, {"off", LogLevel::kOff}};

  CLI::App app{kDescription, "pnicd"};
  app.footer(kFooter);
  app.add_option("--socket", options.sockets, "UNIX socket of a device; may be given several times")
      ->required()
      ->allow_extra_args(false)
      ->type_name("PATH");
  app.add_option("--memory-device", memory_texts,
                 "Socket, BAR size and kind of a memory device; may be given several times")
      ->allow_extra_args(false)
      ->type_name("PATH[,size=SIZE][,volatile]");
  app.add_option("--log-level", level, "What to say on standard error (default: warning)")
      ->check(CLI::IsMember(levels));
  app.add_option("--spin", options.spin,
                 "Idle looks at the doorbells before sleeping, with all cores busy (default: 20);\n"
                 "otherwise pnicd looks for 100 us")
      ->check(CLI::Range(0u, 1000000u));
  app.add_flag("--break-fence", options.nic.break_fence,
               "For tests: INVALIDATE_MR completes 2 ms before accesses to the memory end");
  app.add_option("--lose", lose,
                 "For tests: of so many segments on the wire one, executed or not, gets no answer")
      ->check(CLI::Range(1u, 1u << 30));
  app.set_version_flag("--version", std::string("pnicd ") + PNICD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  std::vector<MemoryDeviceOptions> memories;
  for (const std::string& text : memory_texts) {
    auto memory = parse_memory_device(text);
    if (!memory) {
      fail(memory.error());
      return 2;
    }
    memories.push_back(*std::move(memory));
  }
  if (options.sockets.size() + memories.size() > 64) {
    std::fprintf(stderr, "pnicd: at most 64 devices\n");
    return 2;
  }
  set_log_level(levels.at(level));
  return serve(options, memories, lose);
}
