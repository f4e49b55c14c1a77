// SPDX-License-Identifier: BSD-2-Clause
#include "pnicd_process.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace peermr::test {

namespace {

using namespace std::chrono_literals;

std::string binary() {
  const char* path = std::getenv("PNICD");
  return path != nullptr ? path : PNICD_PATH;
}

pid_t spawn(const std::vector<std::string>& arguments, int output) {
  std::vector<std::string> all = {binary()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (output >= 0) {
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
  }
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

bool can_connect(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const bool connected = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return connected;
}

}  // namespace

PnicdProcess::PnicdProcess(size_t nics, const std::vector<std::string>& options,
                           const std::vector<std::string>& memories) {
  std::string pattern = (std::filesystem::temp_directory_path() / "pnicd-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = pattern;
  std::vector<std::string> arguments = options;
  for (size_t i = 0; i < nics; ++i) {
    sockets_.push_back(folder_ + "/nic" + std::to_string(i));
    arguments.insert(arguments.end(), {"--socket", sockets_.back()});
  }
  for (size_t i = 0; i < memories.size(); ++i) {
    memory_sockets_.push_back(folder_ + "/memory" + std::to_string(i));
    arguments.insert(arguments.end(),
                     {"--memory-device", memory_sockets_.back() + "," + memories[i]});
  }
  const std::string& last = memories.empty() ? sockets_.back() : memory_sockets_.back();
  pid_ = spawn(arguments, -1);
  for (int i = 0; i < 500; ++i) {
    if (!alive()) throw std::runtime_error("pnicd did not start");
    if (can_connect(last)) return;
    std::this_thread::sleep_for(10ms);
  }
  throw std::runtime_error("pnicd does not listen");
}

PnicdProcess::~PnicdProcess() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

bool PnicdProcess::alive() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

int PnicdProcess::stop() {
  if (pid_ <= 0) return -1;
  ::kill(pid_, SIGTERM);
  int status = -1;
  for (int i = 0; i < 1000; ++i) {
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return status;
    }
    std::this_thread::sleep_for(5ms);
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

size_t PnicdProcess::open_files() const {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

size_t PnicdProcess::mappings_of(int fd) const {
  struct stat file {};
  if (::fstat(fd, &file) != 0) throw std::runtime_error("fstat");
  std::ifstream maps("/proc/" + std::to_string(pid_) + "/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned major = 0;
    unsigned minor = 0;
    unsigned long inode = 0;
    const int fields = std::sscanf(line.c_str(), "%*s %*s %*s %x:%x %lu", &major, &minor, &inode);
    if (fields == 3 && makedev(major, minor) == file.st_dev && inode == file.st_ino) ++count;
  }
  return count;
}

int run_pnicd(const std::vector<std::string>& arguments, std::string& output) {
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const pid_t pid = spawn(arguments, pipe_fds[1]);
  ::close(pipe_fds[1]);
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(pipe_fds[0], buffer, sizeof(buffer))) > 0;) {
    output.append(buffer, static_cast<size_t>(got));
  }
  ::close(pipe_fds[0]);
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

}  // namespace peermr::test
