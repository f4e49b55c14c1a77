// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/signals.hpp"
#include "base/system.hpp"
#include "base/units.hpp"
#include "bench/permission.hpp"
#include "bench/revoke/command.hpp"
#include "bench/revoke/driver.hpp"
#include "bench/revoke/report.hpp"
#include "bench/statistics.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint32_t kOften = 64;  // more buffers than this are measured in few rounds, and once
constexpr unsigned kSeldom = 10;

struct Target {
  BarIndex bar;
  vfio::BarRange range;
  std::string name;
};

Result<std::vector<Target>> permitted_targets(const RevokeOptions& options,
                                              const Topology& topology) {
  std::vector<Target> targets;
  for (const TargetSpec& spec : options.targets) {
    auto range = permitted_range(topology, spec, options.allow_registers);
    if (!range) return std::move(range).error();
    targets.push_back(
        {spec.bar, *range, fmt::format("{}, {}", spec.name(), format_bytes(range->length_bytes))});
  }
  return targets;
}

RevokeSeries& series_of(RevokeReport& report, const std::string& target, std::uint32_t buffers,
                        const std::string& driver) {
  for (RevokeSeries& series : report.series) {
    if (series.target == target && series.buffers == buffers && series.driver == driver) {
      return series;
    }
  }
  return report.series.emplace_back(RevokeSeries{target, buffers, driver, {}});
}

class Measurer {
 public:
  Measurer(const RevokeOptions& options, std::vector<Target> targets, const BenchDevice& importer,
           WriteVerifier& verifier, DriverBinding& binding, RevokeReport& report)
      : options_(options),
        targets_(std::move(targets)),
        importer_(importer),
        verifier_(verifier),
        binding_(binding),
        report_(report) {}

  Result<void> run() {
    for (unsigned pair = 0; pair < options_.pairs && !stop_requested(); ++pair) {
      // Whoever comes second finds warmer caches: they take turns.
      std::vector<std::string> order = {report_.driver};
      if (!report_.against.empty()) order.push_back(report_.against);
      if (pair % 2 == 1) std::reverse(order.begin(), order.end());
      for (const std::string& driver : order) {
        if (auto done = with_driver(driver, pair); !done) return done;
      }
      show_progress(pair + 1);
    }
    return {};
  }

 private:
  Result<void> with_driver(const std::string& driver, unsigned pair) {
    if (auto bound = binding_.bind(driver); !bound) return bound;
    auto device = vfio::Device::open(options_.targets.front().device);
    if (!device) return std::move(device).error();
    for (const Target& target : targets_) {
      for (std::uint32_t buffers : options_.buffers) {
        if (stop_requested()) return {};
        if (buffers > kOften && pair % kSeldom != 0) continue;
        auto times = repeat_round(*device, target, buffers);
        if (!times) return std::move(times).error();
        series_of(report_, target.name, buffers, driver).rounds.push_back(*times);
      }
    }
    return device->close();
  }

  // What the rest of the machine adds to one time is not the driver's: the fastest of several.
  Result<PhaseTimes> repeat_round(vfio::Device& device, const Target& target,
                                  std::uint32_t buffers) {
    const unsigned repeats = buffers > kOften ? 1 : options_.repeats;
    PhaseTimes fastest;
    fastest.fill(std::numeric_limits<double>::infinity());
    for (unsigned i = 0; i < repeats; ++i) {
      auto times = run_round(importer_, verifier_, device, target.bar, target.range, buffers);
      if (!times) return times;
      for (std::size_t phase = 0; phase < kPhases; ++phase) {
        fastest[phase] = std::min(fastest[phase], (*times)[phase]);
      }
    }
    return fastest;
  }

  void show_progress(unsigned done) const {
    if (::isatty(STDERR_FILENO) == 0) return;
    fmt::print(stderr, "\r\033[K{} of {} rounds{}", done, options_.pairs,
               done == options_.pairs ? "\r\033[K" : "");
  }

  const RevokeOptions& options_;
  std::vector<Target> targets_;
  const BenchDevice& importer_;
  WriteVerifier& verifier_;
  DriverBinding& binding_;
  RevokeReport& report_;
};

Result<RevokeReport> measure(const RevokeOptions& options) {
  auto topology = Topology::read(system_paths());
  if (!topology) return std::move(topology).error();
  auto targets = permitted_targets(options, *topology);
  if (!targets) return std::move(targets).error();
  const auto most = *std::max_element(options.buffers.begin(), options.buffers.end());
  if (auto allowed = allow_files(most); !allowed) return std::move(allowed).error();
  auto name = importer_name(options.device);
  if (!name) return std::move(name).error();
  auto importer = BenchDevice::open(*name);
  if (!importer) return std::move(importer).error();
  auto verifier = WriteVerifier::create(*importer);
  if (!verifier) return std::move(verifier).error();
  auto binding = DriverBinding::of(options.targets.front().device, system_paths());
  if (!binding) return std::move(binding).error();

  RevokeReport report;
  report.setting =
      describe_setting(options.label, *topology, options.targets.front().device, *importer);
  report.driver = binding->original();
  if (options.against != report.driver) report.against = options.against;
  Measurer measurer(options, *std::move(targets), *importer, *verifier, *binding, report);
  if (auto ran = measurer.run(); !ran) return std::move(ran).error();
  return report;
}

}  // namespace

ExitCode run_revoke(const RevokeOptions& options) {
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
