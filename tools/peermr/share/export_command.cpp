// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/bar_range.hpp"
#include "base/exit_code.hpp"
#include "base/signals.hpp"
#include "base/system.hpp"
#include "base/units.hpp"
#include "peermr/vfio.hpp"
#include "peermr/watch.hpp"
#include "share/commands.hpp"
#include "share/monitor.hpp"
#include "share/server.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;

// How late a revoke or restore is seen where nothing announces it.
constexpr auto kTick = 50ms;

struct ExportCommandOptions {
  std::string device;
  unsigned bar = 0;
  std::vector<std::string> ranges;
  std::string socket;
  vfio::ExportOptions how;
  bool json = false;
};

class DeviceOwner final : public BufferOwner {
 public:
  DeviceOwner(vfio::Device& device, const DmaBuf& buffer, Greeting greeting)
      : device_(device), buffer_(buffer), greeting_(std::move(greeting)) {}

  [[nodiscard]] const Greeting& greeting() const override { return greeting_; }
  [[nodiscard]] int fd() const override { return buffer_.fd(); }
  [[nodiscard]] Result<vfio::BufferStatus> query() override { return device_.query(buffer_); }
  Result<void> revoke() override { return device_.revoke(buffer_); }
  Result<void> rearm(std::uint64_t revokes) override { return device_.rearm(buffer_, revokes); }

 private:
  vfio::Device& device_;
  const DmaBuf& buffer_;
  Greeting greeting_;
};

// "all" means up to the end of the BAR.
Result<std::vector<vfio::BarRange>> ranges_within(const vfio::Device& device, BarIndex bar,
                                                  std::vector<vfio::BarRange> ranges) {
  const auto info = device.bar_info(bar);
  if (!info) return info.error();
  for (auto& range : ranges) {
    if (range.length_bytes == 0 && range.offset_bytes < info->size_bytes) {
      range.length_bytes = info->size_bytes - range.offset_bytes;
    }
  }
  return ranges;
}

std::string describe(const vfio::ExportOptions& how) {
  std::string text;
  if (how.read_only) text += ", read-only";
  if (how.mappable) text += how.write_combine ? ", mmap write-combining" : ", mmap";
  if (how.manual_rearm) text += ", manual re-arm";
  if (how.delegate) text += ", by the kernel's own exporter";
  return text;
}

/// Prints what happens to the buffer, from whatever tells.
class Reporter {
 public:
  Reporter(DeviceOwner& owner, const DmaBuf& buffer, const ExportCommandOptions& options)
      : owner_(owner), json_(options.json) {
    const Greeting& greeting = owner.greeting();
    if (json_) {
      fmt::print("{}\n", nlohmann::json({{"event", "exported"},
                                         {"device", greeting.device},
                                         {"bar", greeting.bar},
                                         {"bytes", greeting.bytes},
                                         {"ranges", greeting.ranges},
                                         {"exporter", greeting.exporter},
                                         {"socket", options.socket}})
                             .dump());
    } else {
      fmt::print("{} BAR {}: {} in {} range{}, exporter {}{}, socket {}\n", greeting.device,
                 greeting.bar, format_bytes(greeting.bytes), greeting.ranges,
                 greeting.ranges == 1 ? "" : "s", greeting.exporter, describe(options.how),
                 options.socket);
    }
    if (const auto status = owner.query()) monitor_.emplace(*status);
    auto watch = Watch::create(buffer, *buffer.exporter(), system_paths());
    if (watch) watch_.emplace(*std::move(watch));
    if (!monitor_ && !watch_) {
      fmt::print(stderr, "peermr: revokes cannot be shown: {}\n", watch.error().message());
    }
    std::fflush(stdout);
  }

  [[nodiscard]] int fd() const { return watch_ ? watch_->fd() : -1; }

  void look() {
    std::optional<WatchEvent> event;
    if (watch_) event = watch_->read().value_or(std::nullopt);
    if (!monitor_) {
      // The kernel's exporter does not say which of revoke and restore it was.
      if (event) print_invalidates(*event);
      return;
    }
    const auto status = owner_.query();
    if (!status) return;
    const auto text = monitor_->changes(*status);
    if (!text) return;
    if (json_) {
      nlohmann::json line = to_json(*status);
      line["event"] = "change";
      fmt::print("{}\n", line.dump());
    } else {
      fmt::print("{} {}\n", clock_text(std::chrono::system_clock::now()), *text);
    }
    std::fflush(stdout);
  }

 private:
  void print_invalidates(const WatchEvent& event) const {
    if (json_) {
      fmt::print("{}\n", nlohmann::json({{"event", "invalidate"},
                                         {"invalidates", event.invalidates},
                                         {"total", event.total}})
                             .dump());
    } else {
      fmt::print("{} invalidates {}, total {}\n", clock_text(to_wall_clock(event.last)),
                 event.invalidates, event.total);
    }
    std::fflush(stdout);
  }

  DeviceOwner& owner_;
  bool json_;
  std::optional<BufferMonitor> monitor_;
  std::optional<Watch> watch_;
};

Result<void> serve(vfio::Device& device, const DmaBuf& buffer, std::size_t ranges,
                   const ExportCommandOptions& options) {
  const auto kind =
      options.how.delegate ? vfio::ExporterKind::kMainline : device.exporter_features().kind;
  DeviceOwner owner(device, buffer,
                    {.device = device.bdf().to_string(),
                     .bar = options.bar,
                     .bytes = buffer.size_bytes(),
                     .ranges = ranges,
                     .exporter = std::string(to_string(kind)),
                     .read_only = options.how.read_only});
  auto socket = ListeningSocket::create(options.socket);
  if (!socket) return std::move(socket).error();
  ShareServer server(*std::move(socket), owner);
  Reporter reporter(owner, buffer, options);
  while (!stop_requested()) {
    if (auto turned = server.turn(kTick, reporter.fd()); !turned) return turned;
    reporter.look();
  }
  return {};
}

ExitCode run_export(const ExportCommandOptions& options) {
  const auto bdf = Bdf::parse(options.device);
  if (!bdf) throw CLI::ValidationError("DEVICE", bdf.error().message());
  std::vector<vfio::BarRange> wanted;
  for (const std::string& text : options.ranges) {
    const auto range = parse_range(text);
    if (!range) throw CLI::ValidationError("--range", range.error().message());
    wanted.push_back(*range);
  }
  catch_stop_signals();
  auto device = vfio::Device::open(*bdf);
  if (!device) return report_error(device.error());
  const BarIndex bar(static_cast<std::uint8_t>(options.bar));
  const auto ranges = ranges_within(*device, bar, std::move(wanted));
  if (!ranges) return report_error(ranges.error());
  const auto buffer = device->export_dma_buf(bar, *ranges, options.how);
  if (!buffer) return report_error(buffer.error());
  const auto served = serve(*device, *buffer, ranges->size(), options);
  const auto closed = device->close();
  if (!served) return report_error(served.error());
  if (!closed) return report_error(closed.error());
  return kSuccess;
}

}  // namespace

void add_export_command(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand(
      "export", "export parts of a BAR, hand them to whoever connects, until a signal");
  auto options = std::make_shared<ExportCommandOptions>();
  vfio::ExportOptions& how = options->how;
  command->add_option("DEVICE", options->device, "PCI address")->required();
  command->add_option("--bar", options->bar, "number of the BAR")
      ->required()
      ->check(CLI::Range(0u, 5u));
  command
      ->add_option("--range", options->ranges,
                   "OFFSET:LENGTH within the BAR, as in 2M:1M, or OFFSET:all; several make one "
                   "buffer, in this order")
      ->required();
  command->add_option("--socket", options->socket, "path of the socket to make")->required();
  command->add_flag("--read-only", how.read_only, "nobody may write");
  command->add_flag("--mmap,!--no-mmap", how.mappable,
                    "others may map it into their processes (default: not)");
  command->add_flag("--manual-rearm", how.manual_rearm,
                    "after a revoke importers wait for peermr rearm");
  command->add_flag("--write-combine", how.write_combine, "mmap is write-combining; with --mmap");
  command->add_flag("--delegate", how.delegate,
                    "by the kernel's own exporter: iommufd imports no other");
  command->add_flag("--json", options->json, "a line of JSON for each event");
  command->footer(kExitCodeHelp);
  command->callback([options, &status] { status = run_export(*options); });
}

}  // namespace peermr::tool
