// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/signals.hpp"
#include "base/units.hpp"
#include "bench/commands.hpp"
#include "bench/local_targets.hpp"
#include "bench/print.hpp"
#include "bench/remote.hpp"
#include "bench/runner.hpp"

namespace peermr::tool {
namespace {

std::chrono::nanoseconds from_seconds(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(seconds));
}

/// Everything that a run holds open. Members are destroyed in reverse: initiators first, devices
/// last.
struct Session {
  std::optional<MapTypeProbe> probe;
  std::unique_ptr<BenchDevice> device;
  std::unique_ptr<BenchDevice> second;  // null: the target's device is the initiator's
  std::unique_ptr<BenchDevice> compare;
  std::unique_ptr<TargetSide> targets;
  std::unique_ptr<TargetSide> compare_targets;
  std::optional<Initiator> initiator;
  std::optional<Initiator> compare_initiator;

  [[nodiscard]] const BenchDevice& target_device() const { return second ? *second : *device; }
};

Result<std::unique_ptr<BenchDevice>> open_device(const std::string& name) {
  auto device = BenchDevice::open(name);
  if (!device) return std::move(device).error();
  return std::make_unique<BenchDevice>(*std::move(device));
}

// Largest amount of memory that one row uses at either end.
std::uint64_t room(const BenchOptions& options) {
  std::uint64_t largest = options.span_bytes;
  for (std::uint64_t size : options.sizes_bytes) largest = std::max(largest, size);
  constexpr std::uint64_t kCacheLine = 64;
  return (largest + kCacheLine - 1) / kCacheLine * kCacheLine;
}

// Of the RDMA devices that there are, the two ends' names. Those to compare with, and software
// devices when there are others, are not meant unless they are named.
struct Names {
  std::string initiator;
  std::string target;
};

Result<Names> choose_names(const BenchOptions& options) {
  Names names{options.device, options.target_device};
  if (names.initiator.empty() || (names.target.empty() && !options.loopback)) {
    auto all = rdma_device_names();
    if (!all) return std::move(all).error();
    std::erase(*all, options.compare);
    if (all->empty()) {
      return make_error(std::errc::no_such_device, "find an RDMA device", "",
                        fmt::format("there is none but {}", options.compare));
    }
    if (names.initiator.empty()) {
      names.initiator = all->front() == names.target && all->size() > 1 ? (*all)[1] : all->front();
    }
    if (names.target.empty() && !options.loopback) {
      std::erase(*all, names.initiator);
      if (!all->empty()) names.target = all->front();
    }
  }
  if (options.loopback || names.target.empty()) names.target = names.initiator;
  return names;
}

Result<void> open_devices(const BenchOptions& options, Session& session) {
  auto names = choose_names(options);
  if (!names) return std::move(names).error();
  // A process that only owns the target needs only that end's device, and vice versa.
  const std::string first = options.listen.empty() ? names->initiator : names->target;
  auto device = open_device(first);
  if (!device) return std::move(device).error();
  session.device = *std::move(device);
  if (options.listen.empty() && options.connect.empty() && names->target != first) {
    auto second = open_device(names->target);
    if (!second) return std::move(second).error();
    session.second = *std::move(second);
  }
  if (!options.compare.empty()) {
    auto compare = open_device(options.compare);
    if (!compare) return std::move(compare).error();
    session.compare = *std::move(compare);
  }
  return {};
}

Result<std::unique_ptr<TargetSide>> make_targets(const BenchDevice& device,
                                                 const std::vector<TargetSpec>& specs,
                                                 const BenchOptions& options,
                                                 const MapTypeProbe* probe) {
  auto targets = std::make_unique<LocalTargets>(device);
  for (const TargetSpec& spec : specs) {
    auto added =
        targets->add(spec, {room(options), options.allow_registers, options.restore, probe});
    if (!added) return std::move(added).error();
  }
  return std::unique_ptr<TargetSide>(std::move(targets));
}

Result<void> open_targets(const BenchOptions& options, Session& session) {
  if (options.kernel_verdict) {
    auto probe = MapTypeProbe::start();
    if (!probe) return std::move(probe).error();
    session.probe.emplace(*std::move(probe));
  }
  if (!options.connect.empty()) {
    auto address = SocketAddress::parse(options.connect);
    if (!address) return std::move(address).error();
    auto remote = RemoteTargets::connect(*address);
    if (!remote) return std::move(remote).error();
    session.targets = std::make_unique<RemoteTargets>(*std::move(remote));
    return {};
  }
  auto targets = make_targets(session.target_device(), options.targets, options,
                              session.probe ? &*session.probe : nullptr);
  if (!targets) return std::move(targets).error();
  session.targets = *std::move(targets);
  if (!session.compare) return {};
  auto compare = make_targets(*session.compare, {TargetSpec{}}, options, nullptr);
  if (!compare) return std::move(compare).error();
  session.compare_targets = *std::move(compare);
  return {};
}

Result<std::vector<Column>> make_columns(const BenchOptions& options, Session& session) {
  auto initiator = Initiator::create(*session.device, *session.targets, room(options));
  if (!initiator) return std::move(initiator).error();
  session.initiator.emplace(*std::move(initiator));
  std::vector<Column> columns;
  for (std::size_t i = 0; i < session.targets->targets().size(); ++i) {
    columns.push_back({&*session.initiator, i});
  }
  if (!session.compare) return columns;
  auto compare = Initiator::create(*session.compare, *session.compare_targets, room(options));
  if (!compare) return std::move(compare).error();
  session.compare_initiator.emplace(*std::move(compare));
  columns.push_back({&*session.compare_initiator, 0});
  return columns;
}

// The driver of the emulated device measures it on each read.
std::optional<double> copy_bandwidth(const ReportDevice& device) {
  if (device.kind != DeviceKind::kEmulated) return std::nullopt;
  const std::string text =
      read_line_or_empty(fmt::format("/sys/kernel/debug/pnic/{}/copy_mb_s", device.bdf));
  double megabytes = 0;
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), megabytes);
  if (status != std::errc{} || !(megabytes > 0)) return std::nullopt;
  return megabytes * 1e6;
}

Environment describe(const BenchOptions& options, const Session& session) {
  Environment environment;
  utsname system{};
  ::uname(&system);
  environment.label = options.label;
  environment.kernel = system.release;
  environment.arch = system.machine;
  environment.devices.push_back(report_device(*session.device));
  if (session.second) environment.devices.push_back(report_device(*session.second));
  if (session.compare) environment.devices.push_back(report_device(*session.compare));
  environment.compare = options.compare;
  environment.repeat = options.repeat;
  environment.depth = options.depth;
  environment.copy_bytes_per_second = copy_bandwidth(environment.devices.front());
  return environment;
}

RunPlan make_plan(const BenchOptions& options) {
  RunPlan plan;
  plan.operations = options.operations;
  plan.sizes_bytes = options.sizes_bytes;
  plan.repeat = options.repeat;
  plan.row.depth = options.depth;
  plan.row.duration = from_seconds(options.duration_seconds);
  plan.row.iterations = options.iterations;
  plan.row.latency_samples = options.latency_samples;
  plan.row.timeout = from_seconds(options.timeout_seconds);
  plan.row.room_bytes = options.span_bytes;
  return plan;
}

void show_progress(const Row& row) {
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r\033[K{} of {}, {}: {}", to_string(row.key.operation),
             format_bytes(row.key.size_bytes), row.key.target, row.verdict());
}

ExitCode listen(const BenchOptions& options, Session& session) {
  auto address = SocketAddress::parse(options.listen);
  if (!address) return report_error(address.error());
  auto listener = Listener::open(*address);
  if (!listener) return report_error(listener.error());
  fmt::print("listening on {} with {}\n", listener->local_name(), session.device->name());
  std::fflush(stdout);
  auto channel = listener->accept();
  if (!channel) return report_error(channel.error());
  if (auto served = serve(*channel, *session.targets); !served) {
    return report_error(served.error());
  }
  return kSuccess;
}

ExitCode print_reports(const std::vector<Report>& reports) {
  fmt::print("\n{}\n", format_table(reports));
  bool good = !reports.empty();
  for (const Report& report : reports) {
    const std::string ratios = format_ratios(report);
    if (!ratios.empty()) fmt::print("{}\n", ratios);
    good = good && report.good();
  }
  fmt::print("{}", format_notes(reports));
  std::fflush(stdout);
  fmt::print(stderr, "{}", format_problems(reports));
  return good ? kSuccess : kFailure;
}

ExitCode measure(const BenchOptions& options, Session& session) {
  auto columns = make_columns(options, session);
  if (!columns) return report_error(columns.error());
  Report report;
  report.environment = describe(options, session);
  if (auto fair = check_comparable({report}); !fair) return report_error(fair.error());
  report.rows = run_rows(*columns, make_plan(options), show_progress);
  if (auto& copy = report.environment.copy_bytes_per_second) {
    // The machine may have been busier before the rows than after them, or the other way round.
    const auto after = copy_bandwidth(report.environment.devices.front());
    copy = (*copy + after.value_or(*copy)) / 2;
  }
  if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  if (!options.json_path.empty()) {
    auto written = write_file(options.json_path, to_json(report).dump(2) + '\n');
    if (!written) return report_error(written.error());
  }
  const ExitCode status = print_reports({report});
  if (!stop_requested()) return status;
  fmt::print(stderr, "peermr: interrupted: the table is not complete\n");
  return kFailure;
}

}  // namespace

ExitCode run_bench(const BenchOptions& options) {
  catch_stop_signals();
  Session session;
  if (auto opened = open_devices(options, session); !opened) return report_error(opened.error());
  if (auto opened = open_targets(options, session); !opened) return report_error(opened.error());
  return options.listen.empty() ? measure(options, session) : listen(options, session);
}

ExitCode run_bench_report(const std::vector<std::string>& paths, const std::string& json_path) {
  std::vector<Report> reports;
  for (const std::string& path : paths) {
    auto report = read_report(path);
    if (!report) return report_error(report.error());
    reports.push_back(*std::move(report));
  }
  if (auto fair = check_comparable(reports); !fair) return report_error(fair.error());
  if (!json_path.empty()) {
    nlohmann::json all = nlohmann::json::array();
    for (const Report& report : reports) all.push_back(to_json(report));
    const nlohmann::json document = {{"schema", "peermr-bench-reports/1"}, {"reports", all}};
    auto written = write_file(json_path, document.dump(2) + '\n');
    if (!written) return report_error(written.error());
  }
  return print_reports(reports);
}

}  // namespace peermr::tool
