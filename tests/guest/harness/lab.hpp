// SPDX-License-Identifier: BSD-2-Clause
//
// What every program that uses the library in a guest begins with: where the devices are, and an end
// when there is no beginning.
#pragma once

#include <peermr/peermr.hpp>
#include <string>
#include <utility>

namespace guest_test {

/// Ends the program with status 1: the test cannot even begin.
[[noreturn]] void give_up(const std::string& why);

template <typename T>
T must(peermr::Result<T> result) {
  if (!result) give_up(result.error().message());
  return std::move(result).value();
}

inline void must(const peermr::Result<void>& result) {
  if (!result) give_up(result.error().message());
}

/// A variable of /etc/lab.env.
std::string lab(const char* name);
/// One that holds a PCI address.
peermr::Bdf lab_bdf(const char* name);
/// One that holds the number of a BAR.
peermr::BarIndex lab_bar(const char* name);
/// How many times as long as usual things may take on this guest's kernel: LAB_TIME_SCALE, or 1.
int time_scale();

}  // namespace guest_test
