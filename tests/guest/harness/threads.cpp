// SPDX-License-Identifier: BSD-2-Clause
#include "harness/threads.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace guest_test {

void print_threads(pid_t pid, const char* who) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
    std::string text = std::string(who) + ", thread " + task.path().filename().string() + ":\n";
    // schedstat: nanoseconds on a processor, nanoseconds that it waited for one, times.
    for (const char* file : {"comm", "schedstat", "syscall", "stack"}) {
      std::ifstream lines(task.path() / file);
      for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
    }
    std::fputs(text.c_str(), stdout);
  }
}

}  // namespace guest_test
