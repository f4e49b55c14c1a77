// SPDX-License-Identifier: BSD-2-Clause
//
// A simple driver for fuzz targets, where libFuzzer is not at hand: mutates and splices seeds for
// some seconds.
//
//   <target> [-max_total_time=SECONDS] [-seed=NUMBER]

#include "fuzz_driver.hpp"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

namespace {

std::vector<uint8_t> current;

// Shows the input that was too much, so that it can be run again.
void on_crash(int signal) {
  static const char hex[] = "0123456789abcdef";
  for (const uint8_t byte : current) {
    const char text[2] = {hex[byte >> 4], hex[byte & 15]};
    if (::write(STDERR_FILENO, text, 2) != 2) break;
  }
  if (::write(STDERR_FILENO, "\n", 1) != 1) std::_Exit(1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void mutate(std::vector<uint8_t>& input, const std::vector<std::vector<uint8_t>>& seeds,
            std::mt19937_64& random) {
  const auto any = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  for (size_t count = 1 + any(8); count > 0; --count) {
    if (input.empty()) input.push_back(0);
    switch (any(6)) {
      case 0:
        input[any(input.size())] = static_cast<uint8_t>(random());
        break;
      case 1:
        input[any(input.size())] ^= static_cast<uint8_t>(1u << any(8));
        break;
      case 2: {
        static constexpr uint8_t kInteresting[] = {0, 1, 3, 4, 7, 8, 16, 64, 127, 128, 255};
        input[any(input.size())] = kInteresting[any(sizeof(kInteresting))];
        break;
      }
      case 3: {
        const auto& other = seeds[any(seeds.size())];
        const size_t begin = any(other.size());
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(any(input.size() + 1)),
                     other.begin() + static_cast<std::ptrdiff_t>(begin), other.end());
        break;
      }
      case 4:
        input.erase(input.begin() + static_cast<std::ptrdiff_t>(any(input.size())));
        break;
      default: {
        const size_t at = any(input.size());
        const uint8_t value = static_cast<uint8_t>(random());
        for (size_t i = at; i < input.size() && i < at + 8; ++i) input[i] = value;
        break;
      }
    }
  }
  if (input.size() > 4096) input.resize(4096);
}

}  // namespace

int main(int argc, char** argv) {
  int seconds = 10;
  uint64_t seed = 1;
  for (int i = 1; i < argc; ++i) {
    static constexpr char kTime[] = "-max_total_time=";
    static constexpr char kSeed[] = "-seed=";
    if (std::strncmp(argv[i], kTime, sizeof(kTime) - 1) == 0)
      seconds = std::atoi(argv[i] + sizeof(kTime) - 1);
    if (std::strncmp(argv[i], kSeed, sizeof(kSeed) - 1) == 0)
      seed = std::strtoull(argv[i] + sizeof(kSeed) - 1, nullptr, 10);
  }
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGILL}) std::signal(signal, on_crash);
  const auto seeds = fuzz_seeds();
  std::mt19937_64 random(seed);
  uint64_t runs = 0;
  for (const auto& input : seeds) {
    current = input;
    LLVMFuzzerTestOneInput(current.data(), current.size());
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < end) {
    current = seeds[random() % seeds.size()];
    mutate(current, seeds, random);
    LLVMFuzzerTestOneInput(current.data(), current.size());
    ++runs;
  }
  std::printf("%llu runs in %d s\n", static_cast<unsigned long long>(runs), seconds);
  return 0;
}
