// SPDX-License-Identifier: BSD-2-Clause
#include "harness/lab.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace guest_test {

void give_up(const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "FAILED: %s\n", why.c_str());
  std::_Exit(1);
}

std::string lab(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') give_up(std::string(name) + " is not set");
  return value;
}

peermr::Bdf lab_bdf(const char* name) {
  return must(peermr::Bdf::parse(lab(name)));
}

peermr::BarIndex lab_bar(const char* name) {
  return peermr::BarIndex{static_cast<std::uint8_t>(std::stoi(lab(name)))};
}

int time_scale() {
  const char* value = std::getenv("LAB_TIME_SCALE");
  return value != nullptr ? std::stoi(value) : 1;
}

}  // namespace guest_test
