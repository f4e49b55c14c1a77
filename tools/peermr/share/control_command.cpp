// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>

#include <memory>
#include <optional>

#include "base/exit_code.hpp"
#include "base/signals.hpp"
#include "base/units.hpp"
#include "share/client.hpp"
#include "share/commands.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Of answers that nothing holds up; a revoke may wait for an importer for ever.
constexpr auto kLimit = 10s;

struct ControlOptions {
  std::string socket;
  std::optional<std::uint64_t> revokes;
  bool json = false;
};

std::string name_of(const Greeting& greeting) {
  return fmt::format("{} BAR {}", greeting.device, greeting.bar);
}

void print_status(const Greeting& greeting, const json& status) {
  const auto flag = [&status](const char* name) {
    return status.value(name, json()) == json(true);
  };
  const auto count = [&status](const char* name) {
    const auto found = status.find(name);
    return found != status.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  };
  const auto state = status.find("state");
  fmt::print("{}: {}, {}{}{}{}{}\n", name_of(greeting),
             state != status.end() && state->is_string() ? state->get<std::string>() : "unknown",
             format_bytes(greeting.bytes), flag("read_only") ? ", read-only" : "",
             flag("mmap") ? ", mmap" : "", flag("manual_rearm") ? ", manual re-arm" : "",
             flag("waiting") ? ", a revoke waits for an importer" : "");
  fmt::print("  revokes {}, restores {}, mappings {} now and {} ever\n", count("revokes"),
             count("restores"), count("mappings"), count("mapped"));
}

// An answer in the form of --json names the buffer as well.
void print_json(const Greeting& greeting, json answer) {
  answer["device"] = greeting.device;
  answer["bar"] = greeting.bar;
  answer["exporter"] = greeting.exporter;
  fmt::print("{}\n", answer.dump(-1, ' ', false, json::error_handler_t::replace));
}

Result<json> ask_to_rearm(ShareClient& client, const ControlOptions& options) {
  Request request{Request::Kind::kRearm, 0};
  if (options.revokes) {
    request.revokes = *options.revokes;
  } else {
    auto status = client.ask({Request::Kind::kQuery, 0}, kLimit);
    if (!status) return status;
    const auto found = status->find("revokes");
    if (found == status->end() || !found->is_number_unsigned()) {
      return make_error(Errc::kMalformed, "query", options.socket, "\"revokes\" is missing");
    }
    request.revokes = found->get<std::uint64_t>();
  }
  return client.ask(request, kLimit);
}

ExitCode run(Request::Kind kind, const ControlOptions& options) {
  catch_stop_signals();
  auto client = ShareClient::connect(options.socket);
  if (!client) return report_error(client.error());
  const auto answer = kind == Request::Kind::kRearm    ? ask_to_rearm(*client, options)
                      : kind == Request::Kind::kRevoke ? client->ask({kind, 0}, std::nullopt)
                                                       : client->ask({kind, 0}, kLimit);
  if (!answer) return report_error(answer.error());
  if (options.json) {
    print_json(client->greeting(), *answer);
  } else if (kind == Request::Kind::kQuery) {
    print_status(client->greeting(), *answer);
  } else {
    fmt::print("{}: {}\n", name_of(client->greeting()),
               kind == Request::Kind::kRevoke ? "revoked for good" : "re-armed");
  }
  return kSuccess;
}

CLI::App* add(CLI::App& app, const char* name, const char* description, Request::Kind kind,
              const std::shared_ptr<ControlOptions>& options, int& status) {
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("SOCKET", options->socket, "the socket of the peermr export that has it")
      ->required();
  command->add_flag("--json", options->json, "as JSON");
  command->footer(kExitCodeHelp);
  command->callback([kind, options, &status] { status = run(kind, *options); });
  return command;
}

}  // namespace

void add_control_commands(CLI::App& app, int& status) {
  add(app, "query", "ask for the state of a buffer that peermr export has", Request::Kind::kQuery,
      std::make_shared<ControlOptions>(), status);
  add(app, "revoke", "take a buffer of peermr export back for good", Request::Kind::kRevoke,
      std::make_shared<ControlOptions>(), status);
  auto options = std::make_shared<ControlOptions>();
  CLI::App* rearm = add(app, "rearm", "let importers map a buffer of peermr export again",
                        Request::Kind::kRearm, options, status);
  rearm->add_option("--revokes", options->revokes,
                    "only if it was revoked so often, and not once more since (default: as often "
                    "as it was now)");
}

}  // namespace peermr::tool
