// SPDX-License-Identifier: BSD-2-Clause
//
// exporter_events [--measure] DEVICE [EVENT...]: each event that there is for DEVICE (nvme, mem0,
// ivshmem), with traffic into its memory, under the driver that it is bound to. A line of JSON for
// each; fails when one is not as expected.cpp says, which --measure does not ask. Without EVENT:
// all but those that ask for a boot of their own.
#include <cstdio>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "events/event.hpp"
#include "events/importer_role.hpp"
#include "pnic/verbs.hpp"

namespace {

using namespace events_test;

// Word by word; "*" fits each.
bool fits(const std::string& expected, const std::string& seen) {
  std::istringstream one(expected), other(seen);
  std::string wanted, word;
  while (one >> wanted)
    if (!(other >> word) || (wanted != "*" && wanted != word)) return false;
  return !(other >> word);
}

std::string differences(const Seen& expected, const Seen& seen) {
  std::string text;
  const auto compare = [&](const char* what, const std::string& one, const std::string& other) {
    if (!fits(one, other))
      text += std::string(text.empty() ? "" : "; ") + what + ": expected \"" + one + "\", seen \"" +
              other + "\"";
  };
  compare("callbacks", expected.callbacks, seen.callbacks);
  compare("traffic", expected.traffic, seen.traffic);
  compare("buffer", expected.buffer, seen.buffer);
  compare("bar", expected.bar, seen.bar);
  compare("state", expected.state, seen.state);
  compare("data", expected.data, seen.data);
  compare("forbidden", expected.forbidden, seen.forbidden);
  return text;
}

// True when it was as it should be.
bool run(const Event& event, const std::string& device, const std::string& driver, Kind kind,
         bool measure) {
  const Outcome outcome = observe(event, kind);
  const Seen& seen = outcome.seen;
  std::printf(
      "{\"driver\": \"%s\", \"device\": \"%s\", \"event\": \"%s\", \"callbacks\": \"%s\", "
      "\"traffic\": \"%s\", \"error\": \"%s\", \"buffer\": \"%s\", \"bar\": \"%s\", \"state\": "
      "\"%s\", "
      "\"data\": \"%s\", \"forbidden\": \"%s\", \"ms\": %ld, \"longest_wait_ms\": %ld, "
      "\"rnr_naks\": %llu}\n",
      driver.c_str(), device.c_str(), event.name, seen.callbacks.c_str(), seen.traffic.c_str(),
      outcome.error.c_str(), seen.buffer.c_str(), seen.bar.c_str(), seen.state.c_str(),
      seen.data.c_str(), seen.forbidden.c_str(), outcome.begin_ms, outcome.longest_wait_ms,
      static_cast<unsigned long long>(outcome.naks));
  std::string wrong = outcome.wrong;
  if (!measure) {
    const Seen* wanted = expected(event.name, driver);
    const std::string difference =
        wanted != nullptr ? differences(*wanted, seen) : "nobody has said what to expect";
    if (!wrong.empty() && !difference.empty()) wrong += "; ";
    wrong += difference;
  }
  if (!wrong.empty())
    std::printf("FAILED: %s, %s, %s: %s\n", driver.c_str(), device.c_str(), event.name,
                wrong.c_str());
  std::fflush(stdout);
  return wrong.empty();
}

// Whether the NICs' checks of themselves fail ever after, as they should.
bool spoils_check(const Event& event, const std::string& driver) {
  const Seen* seen = expected(event.name, driver);
  return seen != nullptr && seen->forbidden != "none";
}

bool contains(const std::vector<Kind>& kinds, Kind kind) {
  for (const Kind one : kinds)
    if (one == kind) return true;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"importer"}) return run_importer();
  const bool measure = !words.empty() && words[0] == "--measure";
  if (measure) words.erase(words.begin());
  if (words.empty()) pnic_test::fail("exporter_events [--measure] DEVICE [EVENT...]", 0);
  const std::string device = words[0];
  const Kind kind = kind_of(device);
  std::set<std::string> wanted(words.begin() + 1, words.end());
  const bool all = wanted.empty();
  const std::string driver = Subject(kind).driver();
  bool good = true;
  for (const Event& event : all_events()) {
    if (!contains(event.kinds, kind)) continue;
    if (all ? event.own_boot || spoils_check(event, driver) : wanted.erase(event.name) == 0)
      continue;
    good = run(event, device, driver, kind, measure) && good;
  }
  for (const std::string& event : wanted) pnic_test::fail(event + ": no such event", 0);
  return good ? 0 : 1;
}
