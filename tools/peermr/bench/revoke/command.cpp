// SPDX-License-Identifier: BSD-2-Clause
#include "bench/revoke/command.hpp"

#include <memory>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint64_t kMaxBuffers = 65536;

struct Texts {
  std::vector<std::string> targets;
  std::string buffers = "1,64,512,4096";
};

void finish(RevokeOptions& options, const Texts& texts) {
  for (const auto& text : texts.targets) {
    auto target = TargetSpec::parse(text);
    if (!target) throw CLI::ValidationError("--target", target.error().message());
    if (target->kind != TargetSpec::Kind::kBar) {
      throw CLI::ValidationError("--target", "host memory cannot be revoked: name a BAR");
    }
    if (!options.targets.empty() && target->device != options.targets.front().device) {
      throw CLI::ValidationError("--target", "all targets are BARs of one device");
    }
    options.targets.push_back(*std::move(target));
  }
  auto counts = parse_sizes(texts.buffers);
  if (!counts) throw CLI::ValidationError("--buffers", counts.error().message());
  for (std::uint64_t count : *counts) {
    if (count > kMaxBuffers) throw CLI::ValidationError("--buffers", "at most 65536 buffers");
    options.buffers.push_back(static_cast<std::uint32_t>(count));
  }
}

}  // namespace

void add_revoke_command(CLI::App& bench, int& status) {
  CLI::App* revoke = bench.add_subcommand(
      "revoke", "measure what it costs to export, map, revoke and restore a BAR");
  auto options = std::make_shared<RevokeOptions>();
  auto texts = std::make_shared<Texts>();
  revoke->option_defaults()->take_last();
  revoke->add_option("-d,--device", options->device,
                     "RDMA device that imports (default: the first)");
  revoke
      ->add_option(
          "-t,--target", texts->targets,
          "BDF:BAR:OFFSET+LENGTH, or BDF:BAR:all, of a device bound to a VFIO driver: that\n"
          "memory is overwritten; may be repeated, for other parts of the same device")
      ->required()
      ->take_all();
  revoke
      ->add_option("-b,--buffers", texts->buffers,
                   "numbers of buffers to share the target among; those above 64 are measured in\n"
                   "every tenth round only, and once")
      ->capture_default_str();
  revoke->add_option("-a,--against", options->against,
                     "bind the device to this driver in turn, and compare: vfio-pci");
  revoke->add_option("-n,--pairs", options->pairs, "rounds, or pairs of rounds")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  revoke
      ->add_option("-r,--repeat", options->repeats,
                   "times to go through all phases in a round; of each phase the fastest counts")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  revoke->add_flag("--allow-non-prefetchable", options->allow_registers,
                   "also use BARs that may hold registers");
  revoke->add_option("--label", options->label, "name of this run");
  revoke->add_option("--json", options->json_path, "write the report to a file as well");
  revoke->footer(kExitCodeHelp);
  revoke->callback([options, texts, &status] {
    finish(*options, *texts);
    status = run_revoke(*options);
  });
}

}  // namespace peermr::tool
