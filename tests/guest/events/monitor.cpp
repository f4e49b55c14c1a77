// SPDX-License-Identifier: BSD-2-Clause
#include "events/monitor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "exporter/device.hpp"
#include "pnic/verbs.hpp"

namespace events_test {

using namespace std::chrono_literals;
using exporter_test::Fd;
using pnic_test::fail;
using pnic_test::require;

namespace {

std::string port() {
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/virtio-ports")) {
    std::string name;
    std::ifstream(entry.path() / "name") >> name;
    if (name == "monitor") return "/dev/" + entry.path().filename().string();
  }
  fail("this guest has no way to its emulator's monitor", 0);
}

void send(const Fd& monitor, const std::string& text) {
  const std::string line = text + "\n";
  require(::write(monitor.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()),
          "write to the monitor");
}

// The line that answers `id`. Others are the greeting, events and answers to others.
std::string answer(const Fd& monitor, const std::string& id) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  std::string have;
  while (std::chrono::steady_clock::now() < deadline) {
    char more[4096];
    const ssize_t got = ::read(monitor.get(), more, sizeof(more));
    require(got >= 0 || errno == EAGAIN, "read from the monitor");
    if (got > 0) have.append(more, static_cast<std::size_t>(got));
    for (auto end = have.find('\n'); end != std::string::npos; end = have.find('\n')) {
      const std::string line = have.substr(0, end);
      have.erase(0, end + 1);
      if (line.find("\"" + id + "\"") != std::string::npos) return line;
    }
    if (got <= 0) std::this_thread::sleep_for(2ms);  // 0: nobody at the other end yet
  }
  fail("the emulator does not answer", 0);
}

}  // namespace

void monitor_call(const std::string& command, const std::string& arguments) {
  const Fd monitor(::open(port().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  require(monitor.ok(), "open the monitor's port");
  const std::string id = std::to_string(::getpid()) + "-" + command;
  // Refused by a monitor that has been through it, which is as good.
  send(monitor, R"({"execute": "qmp_capabilities"})");
  send(monitor, R"({"execute": ")" + command + R"(", "arguments": )" + arguments + R"(, "id": ")" +
                    id + "\"}");
  const std::string line = answer(monitor, id);
  if (line.find("\"error\"") != std::string::npos) fail(line, 0);
}

}  // namespace events_test
