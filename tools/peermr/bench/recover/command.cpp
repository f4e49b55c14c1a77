// SPDX-License-Identifier: BSD-2-Clause
#include "bench/recover/command.hpp"

#include <memory>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint64_t kMaxRegions = 65536;

struct Texts {
  std::string target;
  std::string regions = "1,64,512,4096";
  std::vector<std::string> kinds;
};

void finish(RecoverOptions& options, const Texts& texts) {
  auto target = TargetSpec::parse(texts.target);
  if (!target) throw CLI::ValidationError("--target", target.error().message());
  if (target->kind != TargetSpec::Kind::kBar) {
    throw CLI::ValidationError("--target", "host memory has no reset: name a BAR");
  }
  options.target = *target;
  auto counts = parse_sizes(texts.regions);
  if (!counts) throw CLI::ValidationError("--regions", counts.error().message());
  for (std::uint64_t count : *counts) {
    if (count > kMaxRegions) throw CLI::ValidationError("--regions", "at most 65536 regions");
    options.regions.push_back(static_cast<std::uint32_t>(count));
  }
  for (const auto& text : texts.kinds) {
    const auto kind = parse_recover_kind(text);
    if (!kind) throw CLI::ValidationError("--keys", "a list out of plain, stable and fresh");
    options.kinds.push_back(*kind);
  }
}

}  // namespace

void add_recover_command(CLI::App& bench, int& status) {
  CLI::App* recover = bench.add_subcommand(
      "recover", "measure how long a reset of the device keeps regions on its BAR from use");
  auto options = std::make_shared<RecoverOptions>();
  auto texts = std::make_shared<Texts>();
  recover->option_defaults()->take_last();
  recover->add_option("-d,--device", options->device,
                      "RDMA device that imports (default: the first)");
  recover
      ->add_option("-t,--target", texts->target,
                   "BDF:BAR:OFFSET+LENGTH, or BDF:BAR:all, of a device bound to a VFIO driver: it\n"
                   "is reset, and that memory is overwritten")
      ->required();
  recover
      ->add_option("-b,--regions", texts->regions,
                   "numbers of regions to share the target among; those above 64 are measured in\n"
                   "every third round only")
      ->capture_default_str();
  recover
      ->add_option("-k,--keys", texts->kinds,
                   "a list out of: stable and fresh, key policies; plain, registrations by hand\n"
                   "without the library (default: all that the devices allow)")
      ->delimiter(',')
      ->take_all();
  recover->add_option("-n,--rounds", options->rounds, "resets for each row")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  recover->add_flag("-m,--monitor", options->monitor,
                    "regions have a monitor too, as applications have that others may reset");
  recover->add_flag("--allow-non-prefetchable", options->allow_registers,
                    "also use BARs that may hold registers");
  recover->add_option("--label", options->label, "name of this run");
  recover->add_option("--json", options->json_path, "write the report to a file as well");
  recover->footer(kExitCodeHelp);
  recover->callback([options, texts, &status] {
    finish(*options, *texts);
    status = run_recover(*options);
  });
}

}  // namespace peermr::tool
