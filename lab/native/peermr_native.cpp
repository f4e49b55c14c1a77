// SPDX-License-Identifier: BSD-2-Clause
// peermr-native: runs a program with emulated RDMA NICs, without root, guest or kernel driver.
//
// It starts pnicd, writes a small sysfs tree, and runs the program with libpnic-native preloaded and
// libibverbs pointed at both.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "device.hpp"
#include "dma_buf_table.hpp"
#include "sysfs_tree.hpp"

namespace fs = std::filesystem;
using peermr::native::Device;
using peermr::native::kNativeDmaBufName;

namespace {

constexpr int kFailure = 125;  // as env(1) and timeout(1) say that they failed themselves
constexpr int kNotFound = 127;
constexpr auto kStartTimeout = std::chrono::seconds(10);
constexpr auto kStopTimeout = std::chrono::seconds(5);

struct Options {
  int nics = 2;
  std::string pnicd = PEERMR_NATIVE_PNICD;
  std::string provider = PEERMR_NATIVE_PROVIDER;
  std::string library = PEERMR_NATIVE_LIBRARY;
  std::vector<std::string> pnicd_args;
  uint64_t dma_buf_bytes = 0;
  std::vector<std::string> command;
};

volatile std::sig_atomic_t child_pid = 0;

void forward_signal(int signal) {
  if (child_pid > 0) ::kill(child_pid, signal);
}

/// A directory that is removed with everything in it.
class TempDir {
 public:
  TempDir() {
    const char* const base = std::getenv("TMPDIR");
    std::string name = std::string(base != nullptr ? base : "/tmp") + "/peermr-native-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

[[noreturn]] void execute(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  std::cerr << "peermr-native: run " << command[0] << ": " << std::strerror(errno) << "\n";
  ::_exit(kNotFound);
}

pid_t start_pnicd(const Options& options, const std::string& dir) {
  std::vector<std::string> command{options.pnicd};
  for (int i = 0; i < options.nics; ++i) {
    command.push_back("--socket");
    command.push_back(dir + "/pnic" + std::to_string(i) + ".sock");
  }
  command.insert(command.end(), options.pnicd_args.begin(), options.pnicd_args.end());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  // A signal from the terminal is for the program; pnicd goes when this process goes.
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kFailure);
  execute(command);
}

/// False unless it ends well, as it does when it is told to: whatever came of the program, it had
/// a device that failed.
bool stop_pnicd(pid_t pid) {
  ::kill(pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kStopTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    int status = 0;
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended < 0) return false;  // known to have ended, and told of
    if (ended == pid && status == 0) return true;
    if (ended == pid) {
      std::cerr << "peermr-native: pnicd ended "
                << (WIFSIGNALED(status) ? "by signal " : "with status ")
                << (WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)) << "\n";
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::cerr << "peermr-native: pnicd does not stop, killing it\n";
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return false;
}

/// A socket can be there, and nobody listening yet.
bool accepts_connections(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  path.copy(address.sun_path, path.size());
  const peermr::UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe &&
         ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

/// False when pnicd ends or does not listen in time.
bool wait_for_socket(pid_t pnicd, const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (accepts_connections(path)) return true;
    if (::waitpid(pnicd, nullptr, WNOHANG) == pnicd) {
      std::cerr << "peermr-native: pnicd ended at once\n";
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::cerr << "peermr-native: pnicd does not offer " << path << "\n";
  return false;
}

bool describe_devices(pid_t pnicd, const Options& options, const std::string& dir) {
  for (int i = 0; i < options.nics; ++i) {
    if (!wait_for_socket(pnicd, dir + "/pnic" + std::to_string(i) + ".sock")) return false;
    std::shared_ptr<Device> device;
    if (const int error = Device::open(dir, i, device)) {
      std::cerr << "peermr-native: start NIC " << i << ": " << std::strerror(error) << "\n";
      return false;
    }
    const auto written = peermr::native::write_sysfs_device(dir + "/sys", i, device->attr());
    Device::close(device);
    if (!written) {
      std::cerr << "peermr-native: " << written.error().message() << "\n";
      return false;
    }
  }
  return true;
}

/// Leaves a file that passes for a dma-buf to the program, which finds its descriptor in
/// PEERMR_NATIVE_DMA_BUF.
bool leave_dma_buf(uint64_t bytes) {
  const int fd = ::memfd_create(kNativeDmaBufName, 0);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    std::cerr << "peermr-native: make a dma-buf of " << bytes << " bytes: " << std::strerror(errno)
              << "\n";
    return false;
  }
  return ::setenv("PEERMR_NATIVE_DMA_BUF", std::to_string(fd).c_str(), 1) == 0;
}

int run_command(const Options& options, const std::string& dir) {
  const pid_t pid = ::fork();
  if (pid < 0) return kFailure;
  if (pid == 0) {
    if (options.dma_buf_bytes > 0 && !leave_dma_buf(options.dma_buf_bytes)) ::_exit(kFailure);
    std::string preload;
    for (const char* const other :
         {PEERMR_NATIVE_RUNTIME, static_cast<const char*>(std::getenv("LD_PRELOAD"))})
      if (other != nullptr && *other != '\0') preload += std::string(other) + ":";
    preload += options.library;
    ::setenv("LD_PRELOAD", preload.c_str(), 1);
    ::setenv("PEERMR_NATIVE_DIR", dir.c_str(), 1);
    ::setenv("SYSFS_PATH", (dir + "/sys").c_str(), 1);
    ::setenv("IBV_DRIVERS", options.provider.c_str(), 1);
    execute(options.command);
  }
  child_pid = pid;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, &forward_signal);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{
      "Runs a program with emulated RDMA NICs pnic0, pnic1, ...: no root, no kernel driver.\n"
      "One process at a time can open each of them."};
  app.add_option("--nics", options.nics, "Number of NICs")->check(CLI::Range(1, 16));
  app.add_option("--pnicd", options.pnicd, "The device's program")->check(CLI::ExistingFile);
  app.add_option("--pnicd-arg", options.pnicd_args, "Passed on to pnicd; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--provider", options.provider,
                 "Path of the provider up to its -rdmavNN.so suffix");
  app.add_option("--dma-buf", options.dma_buf_bytes,
                 "Leave a dma-buf of so many bytes open, its descriptor in PEERMR_NATIVE_DMA_BUF")
      ->transform(CLI::AsSizeValue(false));
  app.prefix_command();
  app.footer("The program and its arguments come last.");
  CLI11_PARSE(app, argc, argv);
  options.command = app.remaining();
  if (!options.command.empty() && options.command.front() == "--")
    options.command.erase(options.command.begin());
  if (options.command.empty()) {
    std::cerr << "peermr-native: which program? See --help.\n";
    return kFailure;
  }

  const TempDir dir;
  if (dir.path().empty()) {
    std::cerr << "peermr-native: no temporary directory: " << std::strerror(errno) << "\n";
    return kFailure;
  }
  const pid_t pnicd = start_pnicd(options, dir.path());
  if (pnicd < 0) {
    std::cerr << "peermr-native: fork: " << std::strerror(errno) << "\n";
    return kFailure;
  }
  const int status = describe_devices(pnicd, options, dir.path())
                         ? run_command(options, dir.path())
                         : kFailure;
  return stop_pnicd(pnicd) || status != 0 ? status : kFailure;
}
