// SPDX-License-Identifier: BSD-2-Clause
#include "bench/kernel_verdict.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "base/file.hpp"

namespace peermr::tool {
namespace {

constexpr std::string_view kEvent = "map_type";
constexpr std::string_view kFunction = "pci_p2pdma_map_type";

// Both structures begin with what leads to the device's name, and have since they exist: struct
// p2pdma_provider with `owner`, struct device with `kobj`, struct kobject with `name`. Arguments in
// return probes came with Linux 6.9.
constexpr std::string_view kWithNames =
    " type=$retval:u32 provider=+0(+0(+0($arg1))):string client=+0(+0($arg2)):string";
constexpr std::string_view kTypeOnly = " type=$retval:u32";

std::string unique_name() {
  return fmt::format("peermr_{}", ::getpid());
}

std::string find_tracefs() {
  for (const char* path : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    if (::access(fmt::format("{}/kprobe_events", path).c_str(), F_OK) == 0) return path;
  }
  return {};
}

// The text between the quotes after `key="`, or nothing.
std::string quoted_value(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(fmt::format(" {}=\"", key));
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + key.size() + 3);
  return std::string(line.substr(0, line.find('"')));
}

bool parse_call(std::string_view line, MapTypeCall& call) {
  if (line.starts_with('#') || line.find(fmt::format(" {}: (", kEvent)) == line.npos) return false;
  constexpr std::string_view kType = " type=";
  const std::size_t at = line.find(kType);
  if (at == std::string_view::npos) return false;
  const std::string_view digits = line.substr(at + kType.size());
  auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), call.type);
  if (status != std::errc{} || end == digits.data()) return false;
  call.provider = quoted_value(line, "provider");
  call.client = quoted_value(line, "client");
  return true;
}

}  // namespace

std::string map_type_name(unsigned type) {
  static constexpr std::array<const char*, 5> kNames = {"unknown", "none", "not supported",
                                                        "bus address", "host bridge"};
  if (type < kNames.size()) return kNames[type];
  return fmt::format("unknown {}", type);
}

std::vector<MapTypeCall> parse_map_type_calls(std::string_view trace) {
  std::vector<MapTypeCall> calls;
  while (!trace.empty()) {
    const std::size_t end = trace.find('\n');
    MapTypeCall call;
    if (parse_call(trace.substr(0, end), call)) calls.push_back(std::move(call));
    if (end == std::string_view::npos) break;
    trace.remove_prefix(end + 1);
  }
  return calls;
}

Result<MapTypeProbe> MapTypeProbe::start() {
  const std::string tracing = find_tracefs();
  if (tracing.empty()) {
    return errno_error(ENOENT, "ask for the kernel's verdict", "tracefs",
                       "it takes root and mount -t tracefs tracefs /sys/kernel/tracing");
  }
  MapTypeProbe probe(tracing);
  if (auto made = probe.set_up(); !made) return std::move(made).error();
  return probe;
}

Result<void> MapTypeProbe::set_up() {
  const std::string name = unique_name();
  const std::string instance = fmt::format("{}/instances/{}", tracing_, name);
  if (::mkdir(instance.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_error(errno, "make the tracing instance", instance);
  }
  const std::string events = tracing_ + "/kprobe_events";
  const std::string probe = fmt::format("r:{}/{} {}", name, kEvent, kFunction);
  auto added = write_control(events, fmt::format("{}{}", probe, kWithNames), true);
  if (!added) added = write_control(events, fmt::format("{}{}", probe, kTypeOnly), true);
  if (!added) return added;
  return write_control(fmt::format("{}/events/{}/{}/enable", instance, name, kEvent), "1", false);
}

// An instance that still has the event enabled keeps the event busy: disable, rmdir, remove.
void MapTypeProbe::remove() noexcept {
  if (tracing_.empty()) return;
  const std::string name = unique_name();
  const std::string instance = fmt::format("{}/instances/{}", tracing_, name);
  (void)write_control(fmt::format("{}/events/{}/{}/enable", instance, name, kEvent), "0", false)
      .has_value();
  ::rmdir(instance.c_str());
  (void)write_control(tracing_ + "/kprobe_events", fmt::format("-:{}/{}", name, kEvent), true)
      .has_value();
  tracing_.clear();
}

Result<std::string> MapTypeProbe::verdict(const Bdf& provider, const Bdf& client) const {
  auto trace = read_file(fmt::format("{}/instances/{}/trace", tracing_, unique_name()));
  if (!trace) return std::move(trace).error();
  std::string verdict;
  for (const MapTypeCall& call : parse_map_type_calls(*trace)) {
    if (!call.provider.empty() && call.provider != provider.to_string()) continue;
    if (!call.client.empty() && call.client != client.to_string()) continue;
    verdict = map_type_name(call.type);
  }
  return verdict;
}

}  // namespace peermr::tool
