// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/signals.hpp"
#include "base/system.hpp"
#include "base/units.hpp"
#include "bench/events/command.hpp"
#include "bench/events/report.hpp"
#include "bench/events/revoker.hpp"
#include "bench/permission.hpp"
#include "bench/slices.hpp"
#include "bench/write_verifier.hpp"

namespace peermr::tool {
namespace {

// The ways take turns, so that what the rest of the machine does meets all of them.
constexpr unsigned kInARow = 20;
constexpr EventWay kAllWays[] = {EventWay::kWatch, EventWay::kMonitor, EventWay::kQueue};

struct EventsBench {
  const BenchDevice& importer;
  WriteVerifier& verifier;
  vfio::Device& device;
  BarIndex bar;
  vfio::BarRange range;
  const DmaBuf& buffer;
  Revoker& revoker;
};

Result<void> write_to(const EventsBench& bench, const Region& region) {
  const auto keys = region.keys();
  if (!keys) {
    return make_error(Errc::kRevoked, "write to", region.name(),
                      fmt::format("it is {}", to_string(region.state())));
  }
  if (auto written = bench.verifier.write(keys->address.value(), keys->rkey.value()); !written) {
    return written;
  }
  return verify_slices(bench.device, bench.bar, bench.range, {bench.range}, bench.verifier);
}

// The latency of one revoke; everything is as before afterwards.
Result<std::uint64_t> revoke_once(const EventsBench& bench, Listener& listener) {
  if (auto armed = listener.rearm(); !armed) return std::move(armed).error();
  bench.revoker.revoke();
  const auto heard = listener.hear();
  if (auto done = bench.revoker.wait(); !done) return std::move(done).error();
  if (!heard) return heard.error();
  const auto called_back = listener.called_back();
  if (!called_back) return called_back.error();
  if (auto restored = bench.revoker.restore(); !restored) return std::move(restored).error();
  if (auto back = listener.recover(); !back) return std::move(back).error();
  if (auto written = write_to(bench, listener.region()); !written) {
    return std::move(written).error();
  }
  // The same clock, but the kernel read it on another processor.
  const auto latency = std::chrono::nanoseconds(*heard - *called_back).count();
  return static_cast<std::uint64_t>(std::max<std::chrono::nanoseconds::rep>(latency, 0));
}

Result<void> revoke_in_a_row(const EventsBench& bench, EventSeries& series, unsigned count) {
  auto listener = Listener::create(series.way, bench.importer, bench.buffer);
  if (!listener) return listener.error();
  if (auto written = write_to(bench, (*listener)->region()); !written) return written;
  for (unsigned i = 0; i < count && !stop_requested(); ++i) {
    const auto latency = revoke_once(bench, **listener);
    if (!latency) return latency.error();
    series.latencies_ns.push_back(*latency);
  }
  return {};
}

void show_progress(unsigned done, unsigned all) {
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r\033[K{} of {} revokes{}", done, all, done == all ? "\r\033[K" : "");
}

Result<void> measure_all(const EventsOptions& options, const EventsBench& bench,
                         EventsReport& report) {
  for (EventWay way : kAllWays) report.series.push_back({way, {}});
  for (unsigned done = 0; done < options.revokes && !stop_requested();) {
    const unsigned count = std::min(kInARow, options.revokes - done);
    for (EventSeries& series : report.series) {
      if (auto measured = revoke_in_a_row(bench, series, count); !measured) return measured;
    }
    done += count;
    show_progress(done, options.revokes);
  }
  return {};
}

Result<EventsReport> measure(const EventsOptions& options) {
  auto topology = Topology::read(system_paths());
  if (!topology) return std::move(topology).error();
  auto range = permitted_range(*topology, options.target, options.allow_registers);
  if (!range) return std::move(range).error();
  auto name = importer_name(options.device);
  if (!name) return std::move(name).error();
  auto importer = BenchDevice::open(*name);
  if (!importer) return std::move(importer).error();
  auto verifier = WriteVerifier::create(*importer);
  if (!verifier) return std::move(verifier).error();
  auto device = vfio::Device::open(options.target.device);
  if (!device) return std::move(device).error();
  auto buffer = device->export_dma_buf(options.target.bar, *range);
  if (!buffer) return std::move(buffer).error();

  EventsReport report;
  report.setting = describe_setting(options.label, *topology, options.target.device, *importer);
  report.target = fmt::format("{}, {}", options.target.name(), format_bytes(range->length_bytes));
  report.exporter = to_string(device->exporter_features().kind);
  Revoker revoker(*device);
  const EventsBench bench{*importer, *verifier, *device, options.target.bar,
                          *range,    *buffer,   revoker};
  if (auto done = measure_all(options, bench, report); !done) return std::move(done).error();
  return report;
}

}  // namespace

ExitCode run_events(const EventsOptions& options) {
  catch_stop_signals();
  auto report = measure(options);
  if (!report) return report_error(report.error());
  if (!options.json_path.empty()) {
    auto written = write_file(options.json_path, to_json(*report).dump(2) + '\n');
    if (!written) return report_error(written.error());
  }
  fmt::print("{}", format(*report));
  if (!stop_requested()) return kSuccess;
  fmt::print(stderr, "peermr: interrupted: the table is not complete\n");
  return kFailure;
}

}  // namespace peermr::tool
