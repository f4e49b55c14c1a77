// SPDX-License-Identifier: BSD-2-Clause
//
// libFuzzer begins with nothing and needs long to find whole messages: now and then it gets a seed.

#include <cstring>

#include "fuzz_driver.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int random) {
  static const auto seeds = fuzz_seeds();
  const auto& seed = seeds[random / 64 % seeds.size()];
  if (random % 32 == 0 && seed.size() <= max_size) {
    std::memcpy(data, seed.data(), seed.size());
    size = seed.size();
  } else if (random % 32 == 1 && size + seed.size() <= max_size) {
    std::memcpy(data + size, seed.data(), seed.size());
    size += seed.size();
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
