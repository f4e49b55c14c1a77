// SPDX-License-Identifier: BSD-2-Clause
#include "doctor/command.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/exit_code.hpp"
#include "base/system.hpp"
#include "base/table.hpp"
#include "doctor/checks.hpp"

namespace peermr::tool {
namespace {

constexpr std::size_t kWidth = 110;

struct DoctorOptions {
  bool json = false;
  std::vector<std::string> probe;
};

struct Section {
  std::string name;
  std::vector<Check> checks;
};

void print_text(const std::vector<Section>& sections, bool possible) {
  for (const Section& section : sections) {
    if (section.checks.empty()) continue;
    fmt::print("{}\n", section.name);
    for (const Check& check : section.checks) {
      const std::string indent(7, ' ');
      fmt::print("  {:4} {}\n", to_string(check.level),
                 wrap(check.subject + ": " + check.finding, kWidth - indent.size(), indent));
      if (!check.remedy.empty()) {
        fmt::print("{}{}\n", indent,
                   wrap("remedy: " + check.remedy, kWidth - indent.size(), indent + "  "));
      }
    }
  }
  fmt::print("\n{}\n", possible ? "Peer to peer is possible."
                                : "Peer to peer is not possible here: see what FAIL says.");
}

void print_json(const std::vector<Section>& sections, bool possible) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Section& section : sections) {
    for (const Check& check : section.checks) {
      checks.push_back({{"section", section.name},
                        {"level", to_string(check.level)},
                        {"subject", check.subject},
                        {"finding", check.finding},
                        {"remedy", check.remedy}});
    }
  }
  const nlohmann::json document = {
      {"schema", "peermr-doctor/1"}, {"possible", possible}, {"checks", checks}};
  fmt::print("{}\n", document.dump(2));
}

// A failed probe of a device that somebody asked for is a failure, whatever others can do.
bool any_failed(const std::vector<Check>& checks) {
  return std::any_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.level == Level::kFail; });
}

ExitCode run_doctor(const DoctorOptions& options) {
  std::vector<Bdf> probes;
  for (const std::string& text : options.probe) {
    auto bdf = Bdf::parse(text);
    if (!bdf) throw CLI::ValidationError("--probe", bdf.error().message());
    probes.push_back(*bdf);
  }
  auto machine = examine(system_paths());
  if (!machine) return report_error(machine.error());
  Section probed{"Probes", {}};
  for (const Bdf& bdf : probes) probed.checks.push_back(probe_device(bdf));
  Pairs pairs = check_pairs(*machine);
  const bool possible = pairs.possible && !any_failed(probed.checks);
  const std::vector<Section> sections = {{"System", check_system(*machine)},
                                         {"RDMA devices", check_rdma(*machine)},
                                         {"VFIO devices", check_vfio(*machine)},
                                         {"Pairs", std::move(pairs.checks)},
                                         std::move(probed)};
  (options.json ? print_json : print_text)(sections, possible);
  return possible ? kSuccess : kFailure;
}

}  // namespace

void add_doctor_command(CLI::App& app, int& status) {
  CLI::App* doctor = app.add_subcommand(
      "doctor", "say what this machine can do, what is missing, and what to change");
  auto options = std::make_shared<DoctorOptions>();
  doctor->add_flag("--json", options->json, "as JSON");
  doctor->add_option(
      "--probe", options->probe,
      "also open this device through VFIO, which resets it, and ask it for dma-bufs");
  doctor->footer(
      "Exit status: 0 when at least one pair of devices can do peer to peer (and each probe\n"
      "succeeded), 1 when none can, 2 bad command line.");
  doctor->callback([options, &status] { status = run_doctor(*options); });
}

}  // namespace peermr::tool
