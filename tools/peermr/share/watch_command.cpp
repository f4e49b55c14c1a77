// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/exit_code.hpp"
#include "base/signals.hpp"
#include "base/system.hpp"
#include "base/units.hpp"
#include "peermr/verbs.hpp"
#include "peermr/watch.hpp"
#include "share/client.hpp"
#include "share/commands.hpp"
#include "share/monitor.hpp"

namespace peermr::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 100;

struct WatchOptions {
  std::string source;
  std::string importer;
  std::uint64_t count = 0;  // 0: no end
  double timeout_s = 0;     // 0: none
  bool json = false;
};

Result<Bdf> find_importer(const std::string& text) {
  if (auto bdf = Bdf::parse(text)) return bdf;
  const auto devices = verbs::list_devices(system_paths());
  if (!devices) return devices.error();
  for (const auto& device : *devices) {
    if (device.name != text) continue;
    if (device.bdf) return *device.bdf;
    return make_error(std::errc::not_supported, "watch for", text, "it is no PCI device");
  }
  return make_error(std::errc::no_such_device, "watch for", text,
                    "it is neither an RDMA device (peermr topo) nor a PCI address");
}

void print_start(const DmaBuf& buffer, const Bdf& importer, const WatchStatus& status, bool json) {
  if (json) {
    fmt::print("{}\n", nlohmann::json({{"event", "watch"},
                                       {"buffer", buffer.name()},
                                       {"bytes", buffer.size_bytes()},
                                       {"importer", importer.to_string()},
                                       {"state", to_string(status.state)},
                                       {"revokes", status.revokes}})
                           .dump());
  } else {
    fmt::print("{}, {}, for {}: {}\n", buffer.name(), format_bytes(buffer.size_bytes()),
               importer.to_string(), to_string(status.state));
  }
  std::fflush(stdout);
}

void print_event(const WatchEvent& event, const WatchStatus& status, bool json) {
  if (json) {
    fmt::print("{}\n", nlohmann::json({{"event", "invalidate"},
                                       {"invalidates", event.invalidates},
                                       {"total", event.total},
                                       {"first_ns", event.first.time_since_epoch().count()},
                                       {"last_ns", event.last.time_since_epoch().count()},
                                       {"state", to_string(status.state)},
                                       {"revokes", status.revokes}})
                           .dump());
  } else {
    fmt::print("{} invalidates {}, total {}: {}\n", clock_text(to_wall_clock(event.last)),
               event.invalidates, event.total, to_string(status.state));
  }
  std::fflush(stdout);
}

// Prints until the end that was asked for, a signal, or the buffer's. Returns the total.
Result<std::uint64_t> follow(const Watch& watch, const WatchOptions& options) {
  const auto end = options.timeout_s > 0
                       ? Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                            std::chrono::duration<double>(options.timeout_s))
                       : Clock::time_point::max();
  std::uint64_t total = 0;
  while (!stop_requested() && Clock::now() < end) {
    pollfd entry{watch.fd(), POLLIN, 0};
    if (::poll(&entry, 1, kPollMs) < 0 && errno != EINTR) {
      return errno_error(errno, "wait for", options.source);
    }
    const auto event = watch.read();
    if (!event) return event.error();
    if (!*event) continue;
    const auto status = watch.status();
    if (!status) return status.error();
    print_event(**event, *status, options.json);
    total = (*event)->total;
    if (options.count != 0 && total >= options.count) break;
    if (status->state == WatchState::kDead) break;
  }
  return total;
}

ExitCode run_watch(const WatchOptions& options) {
  catch_stop_signals();
  const auto importer = find_importer(options.importer);
  if (!importer) return report_error(importer.error());
  const auto buffer = take_buffer_from(options.source);
  if (!buffer) return report_error(buffer.error());
  const auto watch = Watch::create(*buffer, *importer, system_paths());
  if (!watch) return report_error(watch.error());
  const auto status = watch->status();
  if (!status) return report_error(status.error());
  print_start(*buffer, *importer, *status, options.json);
  if (status->state == WatchState::kDead) {
    return report_error(make_error(Errc::kDead, "watch dma-buf of", buffer->name()));
  }
  const auto total = follow(*watch, options);
  if (!total) return report_error(total.error());
  return options.count == 0 || *total >= options.count ? kSuccess : kFailure;
}

}  // namespace

void add_watch_command(CLI::App& app, int& status) {
  CLI::App* watch = app.add_subcommand("watch", "show every invalidate of a dma-buf");
  auto options = std::make_shared<WatchOptions>();
  watch
      ->add_option("SOURCE", options->source,
                   "the socket of a peermr export, or PID/FD of a process that has the dma-buf")
      ->required();
  watch
      ->add_option("--for", options->importer,
                   "the device that imports the buffer: an RDMA device's name, or a PCI address")
      ->required();
  watch->add_flag("--json", options->json, "a line of JSON for each");
  watch->add_option("--count", options->count, "end after so many invalidates")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 62));
  watch->add_option("--timeout", options->timeout_s, "end after so many seconds")
      ->check(CLI::Range(0.001, 1e9));
  watch->footer(std::string("Ends with status 1 when --count was not reached.\n") + kExitCodeHelp);
  watch->callback([options, &status] { status = run_watch(*options); });
}

}  // namespace peermr::tool
