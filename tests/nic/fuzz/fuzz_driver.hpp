// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// The entry point that libFuzzer defines the form of.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/// Inputs that reach the interesting places, for the driver of our own; libFuzzer finds its way
/// alone.
std::vector<std::vector<uint8_t>> fuzz_seeds();
