// SPDX-License-Identifier: BSD-2-Clause
#include <memory>

#include "base/units.hpp"
#include "bench/commands.hpp"
#include "bench/events/command.hpp"
#include "bench/recover/command.hpp"
#include "bench/revoke/command.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint32_t kMaxDepth = 4096;
constexpr std::uint64_t kMaxMessage = std::uint64_t{1} << 30;
constexpr double kMaxSeconds = 86400;

// Texts that are parsed once the whole command line is there, so that a mistake is named.
struct Texts {
  std::vector<std::string> targets;
  std::vector<std::string> operations;
  std::string sizes;
  std::string span = "4M";
};

template <typename T>
T parsed(Result<T> result, const char* option) {
  if (!result) throw CLI::ValidationError(option, result.error().message());
  return *std::move(result);
}

void add_what(CLI::App& bench, BenchOptions& options, Texts& texts) {
  bench.add_option("-d,--device", options.device, "RDMA device that posts (default: the first)");
  bench.add_option("--target-device", options.target_device,
                   "RDMA device that the target is registered with (default: the second, or the\n"
                   "same when there is no other)");
  bench.add_flag("--loopback", options.loopback, "one RDMA device for both ends");
  bench.add_option("-t,--target", texts.targets,
                   "memory at the other end: host, or BDF:BAR:OFFSET+LENGTH, or BDF:BAR:all for a\n"
                   "BAR of a device bound to vfio-pci; may be repeated (default: host)");
  bench.add_option("-o,--op", texts.operations, "write, read, send (default: write,read)")
      ->delimiter(',');
  bench.add_option("-s,--size", texts.sizes, "message sizes (default: 4K,64K,1M)");
}

void add_how(CLI::App& bench, BenchOptions& options, Texts& texts) {
  bench.add_option("-q,--depth", options.depth, "messages in flight")
      ->check(CLI::Range(1u, kMaxDepth))
      ->capture_default_str();
  bench.add_option("-D,--duration", options.duration_seconds, "seconds for each measurement")
      ->check(CLI::Range(0.001, kMaxSeconds))
      ->capture_default_str();
  bench.add_option("-n,--iterations", options.iterations,
                   "messages for each bandwidth measurement, instead of a duration");
  bench
      .add_option("--latency-samples", options.latency_samples,
                  "at most so many messages for each latency measurement")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  bench
      .add_option("--timeout", options.timeout_seconds,
                  "seconds without a completion after which a row has failed")
      ->check(CLI::Range(0.1, kMaxSeconds))
      ->capture_default_str();
  bench.add_option("--span", texts.span, "memory that the messages are spread over")
      ->capture_default_str();
  bench
      .add_option("--repeat", options.repeat,
                  "measure each row so often, taking turns, and take the median (default: 1, 3\n"
                  "with --compare)")
      ->check(CLI::Range(1, 100));
  bench.add_flag("!--no-restore", options.restore, "leave the test pattern in the BAR");
  bench.add_flag("--allow-non-prefetchable", options.allow_registers,
                 "also use BARs that may hold registers");
}

void add_where(CLI::App& bench, BenchOptions& options) {
  bench.add_flag("--kernel-verdict", options.kernel_verdict,
                 "also ask the kernel for the path: a kretprobe; takes root");
  bench.add_option("--compare", options.compare,
                   "RDMA device to measure beside, over host memory: rxe0");
  auto* listen = bench.add_option("--listen", options.listen,
                                  "own the targets and wait for a peer: ADDRESS:PORT or unix:PATH");
  bench.add_option("--connect", options.connect, "measure the targets of a listening peer")
      ->excludes(listen);
  bench.add_option("--label", options.label, "name of this run in a table of several");
  bench.add_option("--json", options.json_path, "write the report to a file as well");
}

void finish(BenchOptions& options, const Texts& texts) {
  for (const auto& text : texts.targets) {
    options.targets.push_back(parsed(TargetSpec::parse(text), "--target"));
  }
  if (options.targets.empty()) options.targets.emplace_back();
  for (const auto& text : texts.operations) {
    options.operations.push_back(parsed(parse_operation(text), "--op"));
  }
  if (options.operations.empty()) options.operations = {Operation::kWrite, Operation::kRead};
  const std::string fallback = options.compare.empty() ? "4K,64K,1M" : "8,4K,64K,1M";
  options.sizes_bytes = parsed(parse_sizes(texts.sizes.empty() ? fallback : texts.sizes), "--size");
  for (std::uint64_t size : options.sizes_bytes) {
    if (size > kMaxMessage) throw CLI::ValidationError("--size", "a message is at most 1 GiB");
  }
  options.span_bytes = parsed(parse_bytes(texts.span), "--span");
  if (options.span_bytes > kMaxMessage) throw CLI::ValidationError("--span", "at most 1 GiB");
  if (options.repeat == 0) options.repeat = options.compare.empty() ? 1 : 3;
  if (!options.connect.empty() && !texts.targets.empty()) {
    throw CLI::ValidationError("--connect", "the targets are the listening peer's");
  }
}

void add_report_command(CLI::App& bench, int& status) {
  CLI::App* report =
      bench.add_subcommand("report", "show the reports of one or more runs as one table");
  auto paths = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<std::string>();
  report->add_option("files", *paths, "what bench --json wrote")->required();
  report->add_option("--json", *json, "write all of them to one file");
  report->callback([paths, json, &status] { status = run_bench_report(*paths, *json); });
}

}  // namespace

void add_bench_command(CLI::App& app, int& status) {
  CLI::App* bench = app.add_subcommand(
      "bench", "measure RDMA to host memory and to BARs, with the data verified");
  auto options = std::make_shared<BenchOptions>();
  auto texts = std::make_shared<Texts>();
  bench->option_defaults()->take_last();  // so that a script's options can be overridden
  add_what(*bench, *options, *texts);
  add_how(*bench, *options, *texts);
  add_where(*bench, *options);
  bench->footer(kExitCodeHelp);
  add_report_command(*bench, status);
  add_revoke_command(*bench, status);
  add_recover_command(*bench, status);
  add_events_command(*bench, status);
  bench->callback([bench, options, texts, &status] {
    if (!bench->get_subcommands().empty()) return;
    finish(*options, *texts);
    status = run_bench(*options);
  });
}

}  // namespace peermr::tool
