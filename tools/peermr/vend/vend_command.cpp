// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <grp.h>
#include <poll.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>

#include "base/bar_range.hpp"
#include "base/exit_code.hpp"
#include "base/signals.hpp"
#include "base/units.hpp"
#include "peermr/vend.hpp"
#include "share/monitor.hpp"
#include "vend/commands.hpp"
#include "vend/report.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;

// A signal's flag is looked at this often.
constexpr int kPollMs = 100;
// How long importers have to let go at the end before it is said that they do not.
constexpr auto kStopLimit = 5s;

volatile std::sig_atomic_t wants_table = 0;

void on_table_signal(int) {
  wants_table = 1;
}

void catch_table_signal() {
  struct sigaction action = {};
  action.sa_handler = on_table_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
}

struct VendCommandOptions {
  std::string device;
  unsigned bar = 0;
  std::string range = "0:all";
  std::string slice;
  std::string lease = "30s";
  std::string mode = "0600";
  std::string group;
  vend::VendorOptions how;
  bool json = false;
};

Result<mode_t> parse_mode(const std::string& text) {
  unsigned mode = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, mode, 8);
  if (status == std::errc{} && stop == end && mode <= 0777) return static_cast<mode_t>(mode);
  return make_error(Errc::kMalformed, "parse mode", text, "expected an octal number, as in 0660");
}

Result<gid_t> find_group(const std::string& text) {
  if (const group* found = ::getgrnam(text.c_str()); found != nullptr) return found->gr_gid;
  gid_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, number);
  if (status == std::errc{} && stop == end) return number;
  return make_error(Errc::kMalformed, "find group", text, "there is no such group");
}

template <typename T>
T checked(const char* option, Result<T> value) {
  if (!value) throw CLI::ValidationError(option, value.error().message());
  return *std::move(value);
}

/// Prints events, and in between, when asked to, who has what.
class Reporter {
 public:
  explicit Reporter(bool json) : json_(json) {}

  void start(const vfio::Device& device, const VendCommandOptions& options,
             std::size_t slices) const {
    const auto exporter = to_string(device.exporter_features().kind);
    if (json_) {
      line({{"event", "vending"},
            {"device", device.bdf().to_string()},
            {"bar", options.bar},
            {"slices", slices},
            {"slice_bytes", options.how.slice_bytes},
            {"exporter", exporter},
            {"lease_ms", options.how.lease_time.count()},
            {"socket", options.how.socket}});
      return;
    }
    fmt::print("{} BAR {}: {} slice{} of {}, exporter {}, lease {}{}{}, socket {}\n",
               device.bdf().to_string(), options.bar, slices, slices == 1 ? "" : "s",
               format_bytes(options.how.slice_bytes), exporter,
               format_duration(options.how.lease_time), options.how.mappable ? ", mmap" : "",
               options.how.keep_content ? ", content kept" : "", options.how.socket);
    std::fflush(stdout);
  }

  void show(const vend::VendorEvent& event) {
    // As often as each borrower likes.
    if (event.kind == vend::VendorEvent::Kind::kRenewed) return;
    if (event.kind == vend::VendorEvent::Kind::kDeviceGone) device_gone_ = true;
    if (event.kind == vend::VendorEvent::Kind::kRefused &&
        !filter_.shows(std::chrono::steady_clock::now())) {
      return;
    }
    if (json_) {
      line(event_json(event));
    } else {
      text(event_text(event));
    }
  }

  void show_hidden() {
    const auto hidden = filter_.take_hidden(std::chrono::steady_clock::now());
    if (hidden == 0) return;
    if (json_) {
      line({{"event", "refused"}, {"more", hidden}});
    } else {
      text(fmt::format("refused {} more", hidden));
    }
  }

  void show_table(const vend::Vendor& vendor) const {
    fmt::print(json_ ? stderr : stdout, "{}",
               loan_table(vendor.loans(), std::chrono::steady_clock::now()));
    std::fflush(stdout);
  }

  [[nodiscard]] bool device_gone() const { return device_gone_; }

 private:
  static void text(const std::string& what) {
    fmt::print("{} {}\n", clock_text(std::chrono::system_clock::now()), what);
    std::fflush(stdout);
  }
  static void line(const nlohmann::json& what) {
    fmt::print("{}\n", what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    std::fflush(stdout);
  }

  const bool json_;
  bool device_gone_ = false;
  RefusalFilter filter_;
};

Result<void> serve(vend::Vendor& vendor, Reporter& reporter) {
  while (!stop_requested() && !reporter.device_gone()) {
    pollfd entry{vendor.fd(), POLLIN, 0};
    if (::poll(&entry, 1, kPollMs) < 0 && errno != EINTR) {
      return errno_error(errno, "wait for", "borrowers");
    }
    if (auto done = vendor.process(); !done) return done;
    reporter.show_hidden();
    if (wants_table == 0) continue;
    wants_table = 0;
    reporter.show_table(vendor);
  }
  return {};
}

// Says who does not let go; ending waits for them, as the kernel does when a device is closed.
bool stop(vend::Vendor& vendor) {
  const auto held = vendor.stop(kStopLimit);
  for (const auto& slice : held) {
    fmt::print(stderr,
               "peermr: slice {}, which pid {} had, is still held by an importer; closing the "
               "device waits for it\n",
               slice.slice, slice.pid);
  }
  return held.empty();
}

ExitCode run_vend(VendCommandOptions options) {
  const Bdf bdf = checked("DEVICE", Bdf::parse(options.device));
  vend::VendorOptions& how = options.how;
  how.bar = BarIndex(static_cast<std::uint8_t>(options.bar));
  how.range = checked("--range", parse_range(options.range));
  how.slice_bytes = checked("--slice", parse_bytes(options.slice));
  how.lease_time = checked("--lease", parse_duration(options.lease));
  how.socket_mode = checked("--socket-mode", parse_mode(options.mode));
  if (!options.group.empty()) {
    how.socket_group = checked("--socket-group", find_group(options.group));
  }
  how.own_thread = false;
  Reporter reporter(options.json);
  how.on_event = [&reporter](const vend::VendorEvent& event) { reporter.show(event); };
  catch_stop_signals();
  catch_table_signal();
  auto device = vfio::Device::open(bdf);
  if (!device) return report_error(device.error());
  auto vendor = vend::Vendor::create(*device, how);
  if (!vendor) return report_error(vendor.error());
  reporter.start(*device, options, vendor->loans().size());
  if (how.mappable) {
    fmt::print(stderr,
               "peermr: with --mmap a borrower that gives its mapping to VFIO type1 keeps access "
               "to a slice that another one has later\n");
  }
  const auto served = serve(*vendor, reporter);
  const bool clean = stop(*vendor);
  if (!served) return report_error(served.error());
  return clean && !reporter.device_gone() ? kSuccess : kFailure;
}

}  // namespace

void add_vend_command(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("vend", "lend slices of a BAR to other processes, each for a time");
  auto options = std::make_shared<VendCommandOptions>();
  vend::VendorOptions& how = options->how;
  command->add_option("DEVICE", options->device, "PCI address")->required();
  command->add_option("--bar", options->bar, "number of the BAR")
      ->required()
      ->check(CLI::Range(0u, 5u));
  command->add_option("--range", options->range,
                      "OFFSET:LENGTH within the BAR that is lent, or OFFSET:all (default: 0:all)");
  command->add_option("--slice", options->slice, "bytes of a slice, as in 1M")->required();
  command->add_option("--socket", how.socket, "path of the socket to make")->required();
  command->add_option("--lease", options->lease,
                      "how long a loan lasts without being renewed: 500ms, 30s, 5m (default: 30s)");
  command->add_option("--socket-mode", options->mode, "who may connect (default: 0600)");
  command->add_option("--socket-group", options->group, "whose socket it is");
  command->add_option("--max-per-client", how.max_per_borrower, "slices of one connection")
      ->check(CLI::Range(1u, 65536u));
  command->add_option("--max-per-user", how.max_per_user, "slices of one user")
      ->check(CLI::Range(1u, 65536u));
  command->add_option("--max-clients", how.max_borrowers, "connections (default: 64)")
      ->check(CLI::Range(1u, 65536u));
  command->add_flag("--mmap,--mappable,!--no-mmap", how.mappable,
                    "borrowers may map slices into their processes (default: not)");
  command->add_flag("--keep-content", how.keep_content,
                    "lend slices as the last borrower left them (default: zero)");
  command->add_flag("--json", options->json, "a line of JSON for each event");
  command->footer(std::string("SIGUSR1 shows who has what.\n") + kExitCodeHelp);
  command->callback([options, &status] { status = run_vend(*options); });
}

}  // namespace peermr::tool
