// SPDX-License-Identifier: BSD-2-Clause
#include "vend/report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/table.hpp"
#include "base/units.hpp"
#include "share/monitor.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using vend::VendorEvent;
using Kind = VendorEvent::Kind;

constexpr std::uint64_t kShownASecond = 10;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kLent:
      return "lent";
    case Kind::kRenewed:
      return "renewed";
    case Kind::kEnded:
      return "ended";
    case Kind::kTakenBack:
      return "taken-back";
    case Kind::kFree:
      return "free";
    case Kind::kRefused:
      return "refused";
    case Kind::kWaiting:
      return "waiting";
    case Kind::kLost:
      return "lost";
    case Kind::kGeneration:
      return "generation";
    case Kind::kDeviceGone:
      return "device-gone";
  }
  return "unknown";
}

std::string who(const vend::SliceStatus& status) {
  return fmt::format("pid {}, uid {}", status.pid, status.uid);
}

bool is_of_a_slice(Kind kind) {
  return kind != Kind::kRefused && kind != Kind::kGeneration && kind != Kind::kDeviceGone;
}

}  // namespace

std::string event_text(const VendorEvent& event) {
  const vend::SliceStatus& status = event.status;
  const std::string error = event.error ? event.error->message() : "";
  const auto until = [&] { return clock_text(to_wall_clock(status.expires)); };
  switch (event.kind) {
    case Kind::kLent:
      return fmt::format("slice {} lent to {}: loan {}, until {}", status.slice, who(status),
                         status.loan, until());
    case Kind::kRenewed:
      return fmt::format("slice {} renewed: loan {}, until {}", status.slice, status.loan, until());
    case Kind::kEnded:
      return fmt::format("slice {} {}: loan {} of {}", status.slice, to_string(status.end),
                         status.loan, who(status));
    case Kind::kTakenBack:
      return fmt::format("slice {} taken back in {}: nobody reaches it through loan {}",
                         status.slice, format_duration(event.took), status.loan);
    case Kind::kFree:
      return event.took == 0ns ? fmt::format("slice {} free", status.slice)
                               : fmt::format("slice {} free, cleared in {}", status.slice,
                                             format_duration(event.took));
    case Kind::kRefused:
      return fmt::format("refused {}: {}", who(status), event.error ? event.error->detail() : "");
    case Kind::kWaiting:
      return fmt::format("slice {} waits for an importer since {}: loan {} of {}", status.slice,
                         format_duration(event.took), status.loan, who(status));
    case Kind::kLost:
      return fmt::format("slice {} lost, and never lent again: {}", status.slice, error);
    case Kind::kGeneration:
      return fmt::format("generation {}: the memory was revoked, content may be lost",
                         event.generation);
    case Kind::kDeviceGone:
      return "the device is gone";
  }
  return "";
}

nlohmann::json event_json(const VendorEvent& event) {
  const vend::SliceStatus& status = event.status;
  nlohmann::json line = {{"event", name_of(event.kind)}};
  if (is_of_a_slice(event.kind)) line["slice"] = status.slice;
  if (status.loan != 0) line["loan"] = status.loan;
  if (status.loan != 0 || event.kind == Kind::kRefused) {
    line["pid"] = status.pid;
    line["uid"] = status.uid;
  }
  if (event.kind == Kind::kLent || event.kind == Kind::kRenewed) {
    const auto left = status.expires - std::chrono::steady_clock::now();
    line["lease_ms"] = std::chrono::round<std::chrono::milliseconds>(left).count();
  }
  if (event.kind == Kind::kEnded) line["why"] = to_string(status.end);
  if (event.kind == Kind::kLent || event.kind == Kind::kGeneration) {
    line["generation"] = event.generation;
  }
  if (event.took != 0ns)
    line["took_us"] = std::chrono::duration<double, std::micro>(event.took).count();
  if (event.error) line["message"] = event.error->message();
  return line;
}

std::string loan_table(const std::vector<vend::SliceStatus>& slices,
                       std::chrono::steady_clock::time_point now) {
  Table table({{"slice", Table::Align::kRight},
               {"state"},
               {"loan", Table::Align::kRight},
               {"pid", Table::Align::kRight},
               {"uid", Table::Align::kRight},
               {"left", Table::Align::kRight}});
  std::size_t free = 0;
  for (const auto& slice : slices) {
    if (slice.state == vend::SliceState::kFree) {
      ++free;
      continue;
    }
    const bool lent = slice.state == vend::SliceState::kLent;
    std::string state(to_string(slice.state));
    if (slice.end != vend::LoanEnd::kNone) state += fmt::format(" ({})", to_string(slice.end));
    table.add_row({std::to_string(slice.slice), state,
                   slice.loan != 0 ? std::to_string(slice.loan) : "",
                   slice.loan != 0 ? std::to_string(slice.pid) : "",
                   slice.loan != 0 ? std::to_string(slice.uid) : "",
                   lent ? format_duration(
                              std::max(slice.expires - now, std::chrono::steady_clock::duration(0)))
                        : ""});
  }
  const std::string rest = fmt::format("{} of {} slices free\n", free, slices.size());
  return free == slices.size() ? rest : table.to_string() + rest;
}

bool RefusalFilter::shows(Clock::time_point now) {
  if (now - since_ >= 1s) {
    since_ = now;
    seen_ = 0;
  }
  if (++seen_ <= kShownASecond) return true;
  ++hidden_;
  return false;
}

std::uint64_t RefusalFilter::take_hidden(Clock::time_point now) {
  return now - since_ >= 1s ? std::exchange(hidden_, 0) : 0;
}

}  // namespace peermr::tool
