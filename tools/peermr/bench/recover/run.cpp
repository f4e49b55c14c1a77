// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.hpp"
#include "base/signals.hpp"
#include "base/system.hpp"
#include "base/units.hpp"
#include "bench/permission.hpp"
#include "bench/recover/command.hpp"
#include "bench/recover/report.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint32_t kOften = 64;  // more regions than this are measured in few rounds
constexpr unsigned kSeldom = 3;
constexpr std::uint64_t kFilesForARegion = 4;  // a buffer, two for fresh keys, a watch

RecoverSeries& series_of(RecoverReport& report, RecoverKind kind, std::uint32_t regions) {
  for (RecoverSeries& series : report.series) {
    if (series.kind == kind && series.regions == regions) return series;
  }
  return report.series.emplace_back(RecoverSeries{regions, kind, {}});
}

// Those that were asked for, or all that are possible.
Result<std::vector<RecoverKind>> choose_kinds(const RecoverOptions& options,
                                              const RecoverBench& bench, RecoverReport& report) {
  if (!options.kinds.empty()) return options.kinds;
  std::vector<RecoverKind> kinds;
  for (RecoverKind kind : {RecoverKind::kPlain, RecoverKind::kStable, RecoverKind::kFresh}) {
    const auto can = possible(bench, kind);
    if (!can) return can.error();
    (*can ? kinds : report.impossible).push_back(kind);
  }
  return kinds;
}

void show_progress(unsigned done, unsigned all) {
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r\033[K{} of {} rounds{}", done, all, done == all ? "\r\033[K" : "");
}

Result<void> measure_all(const RecoverOptions& options, const RecoverBench& bench,
                         std::vector<RecoverKind> kinds, RecoverReport& report) {
  for (unsigned round = 0; round < options.rounds; ++round) {
    for (std::uint32_t regions : options.regions) {
      if (regions > kOften && round % kSeldom != 0) continue;
      for (RecoverKind kind : kinds) {
        if (stop_requested()) return {};
        auto times = recover_once(bench, kind, regions);
        if (!times) return std::move(times).error();
        series_of(report, kind, regions).resets.push_back(*times);
      }
    }
    // Whoever comes later finds warmer caches: they take turns.
    std::rotate(kinds.begin(), kinds.begin() + 1, kinds.end());
    show_progress(round + 1, options.rounds);
  }
  return {};
}

Result<RecoverReport> measure(const RecoverOptions& options) {
  auto topology = Topology::read(system_paths());
  if (!topology) return std::move(topology).error();
  auto range = permitted_range(*topology, options.target, options.allow_registers);
  if (!range) return std::move(range).error();
  const auto most = *std::max_element(options.regions.begin(), options.regions.end());
  if (auto allowed = allow_files(most * kFilesForARegion); !allowed) {
    return std::move(allowed).error();
  }
  auto name = importer_name(options.device);
  if (!name) return std::move(name).error();
  auto importer = BenchDevice::open(*name);
  if (!importer) return std::move(importer).error();
  auto verifier = WriteVerifier::create(*importer);
  if (!verifier) return std::move(verifier).error();
  auto device = vfio::Device::open(options.target.device);
  if (!device) return std::move(device).error();
  std::optional<Monitor> monitor;
  if (options.monitor) {
    auto made = Monitor::create();
    if (!made) return std::move(made).error();
    monitor.emplace(*std::move(made));
  }

  RecoverReport report;
  report.setting = describe_setting(options.label, *topology, options.target.device, *importer);
  report.target = fmt::format("{}, {}", options.target.name(), format_bytes(range->length_bytes));
  report.exporter = to_string(device->exporter_features().kind);
  report.monitor = options.monitor;
  const RecoverBench bench{*importer,          *verifier, *device,
                           options.target.bar, *range,    monitor ? &*monitor : nullptr};
  auto kinds = choose_kinds(options, bench, report);
  if (!kinds) return std::move(kinds).error();
  if (auto done = measure_all(options, bench, *kinds, report); !done) {
    return std::move(done).error();
  }
  return report;
}

}  // namespace

ExitCode run_recover(const RecoverOptions& options) {
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
