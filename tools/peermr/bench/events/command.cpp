// SPDX-License-Identifier: BSD-2-Clause
#include "bench/events/command.hpp"

#include <memory>

namespace peermr::tool {

void add_events_command(CLI::App& bench, int& status) {
  CLI::App* events = bench.add_subcommand(
      "events", "measure how soon an application hears that others have revoked its memory");
  auto options = std::make_shared<EventsOptions>();
  auto target = std::make_shared<std::string>();
  events->option_defaults()->take_last();
  events->add_option("-d,--device", options->device,
                     "RDMA device that imports (default: the first)");
  events
      ->add_option("-t,--target", *target,
                   "BDF:BAR:OFFSET+LENGTH, or BDF:BAR:all, of a device bound to a VFIO driver,\n"
                   "whose memory decode is turned off and on; the memory is overwritten")
      ->required();
  events->add_option("-n,--revokes", options->revokes, "for each way of hearing of them")
      ->check(CLI::Range(1u, 1000000u))
      ->capture_default_str();
  events->add_flag("--allow-non-prefetchable", options->allow_registers,
                   "also use BARs that may hold registers");
  events->add_option("--label", options->label, "name of this run");
  events->add_option("--json", options->json_path, "write the report to a file as well");
  events->footer(kExitCodeHelp);
  events->callback([options, target, &status] {
    auto parsed = TargetSpec::parse(*target);
    if (!parsed) throw CLI::ValidationError("--target", parsed.error().message());
    if (parsed->kind != TargetSpec::Kind::kBar) {
      throw CLI::ValidationError("--target", "host memory cannot be revoked: name a BAR");
    }
    options->target = *parsed;
    status = run_events(*options);
  });
}

}  // namespace peermr::tool
