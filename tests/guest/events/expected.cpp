// SPDX-License-Identifier: BSD-2-Clause
//
// What docs/exporter.md says, as measured with Linux 7.2.
#include <map>

#include "events/event.hpp"

namespace events_test {

namespace {

struct Pair {
  Seen ours, mainline;
};

Pair untouched() {
  return {{"0 0", "flows flows", "ok ok", "ok ok", "live live", "kept"},
          {"0 0", "flows flows", "none none", "ok ok", "- -", "kept"}};
}

// One action that takes the memory and gives it back. An access through VFIO waits meanwhile.
Pair reset() {
  return {{"2 0", "waits flows", "SIGBUS ok", "ok ok", "live live", "kept"},
          {"2 0", "waits flows", "none none", "ok ok", "- -", "kept"}};
}

// Whatever became of the importer, the reset that follows finds nothing that holds it up.
Pair importer(const char* traffic) {
  return {{"0 2", traffic, "ok ok", "ok ok", "live live", "kept"},
          {"0 2", traffic, "none none", "ok ok", "- -", "kept"}};
}

const std::map<std::string, Pair>& table() {
  static const std::map<std::string, Pair> rows = {
      {"memory decode off, on",
       {{"1 1", "waits flows", "SIGBUS ok", "SIGBUS ok", "revoked live", "kept"},
        {"1 1", "waits flows", "none none", "SIGBUS ok", "- -", "kept"}}},
      {"INTx disable toggled", untouched()},
      {"bus master toggled", untouched()},
      {"D3hot, D0",
       {{"1 1", "waits flows", "SIGBUS ok", "SIGBUS ok", "revoked live", "kept"},
        {"1 1", "waits flows", "none none", "SIGBUS ok", "- -", "kept"}}},
      {"FLR by DevCtl", reset()},
      {"FLR by AF", reset()},
      {"VFIO_DEVICE_RESET", reset()},
      {"hot reset", reset()},
      {"hot reset by a neighbour", reset()},
      {"low power entry, exit",
       {{"1 1", "waits flows", "SIGBUS ok", "SIGBUS ok", "revoked live", "kept"},
        {"1 1", "waits flows", "none none", "SIGBUS ok", "- -", "kept"}}},
      // Mainline forgets to restore.
      {"low power entry, wake-up",
       {{"1 1", "waits flows", "SIGBUS ok", "SIGBUS ok", "revoked live", "kept"},
        {"1 0", "waits waits", "none none", "SIGBUS ok", "- -", "kept"}}},
      // Mainline does not notice. Whether the NIC writes into the device while it does not answer
      // is a matter of moments: an error and forbidden DMA then, nothing to see otherwise.
      {"sysfs reset", {reset().ours, {"0 0", "* *", "none none", "ok ok", "- -", "*", "*"}}},
      {"close",
       {{"1 0", "waits error", "SIGBUS SIGBUS", "none none", "dead dead", "-"},
        {"1 0", "waits waits", "none none", "none none", "- -", "-"}}},
      // Mainline's importers go on until the user closes the device.
      {"unbind, close",
       {{"1 1", "waits error", "SIGBUS SIGBUS", "ok none", "revoked dead", "-"},
        {"0 1", "flows waits", "none none", "ok none", "- -", "-"}}},
      {"unplug, close",
       {{"1 1", "waits error", "SIGBUS SIGBUS", "ok none", "revoked dead", "-"},
        {"0 1", "flows waits", "none none", "ok none", "- -", "-"}}},
      // The link's reset leaves the BARs empty until the owner enables memory again. Mainline does
      // not notice: what its importers reach meanwhile is nobody's.
      {"AER fatal, decode on",
       {{"1 1", "waits flows", "SIGBUS ok", "* ok", "revoked live", "kept"},
        {"0 0", "waits error", "none none", "* ok", "- -", "kept", "some"}}},
      // Both NICs stop.
      {"suspend",
       {{"2 0", "- -", "* ok", "* ok", "live live", "kept"},
        {"0 0", "- -", "none none", "ok ok", "- -", "kept"}}},
      // Recovery may be over before anything is written: traffic may see nothing.
      {"AER nonfatal",
       {{"2 0", "* flows", "* ok", "ok ok", "live live", "kept"},
        {"0 0", "flows flows", "none none", "ok ok", "- -", "kept"}}},
      {"importer: FLR, then reset", importer("- error")},
      {"importer: unbind, then reset", importer("- error")},
      {"importer: killed, then reset", importer("flows flows")},
  };
  return rows;
}

}  // namespace

const Seen* expected(const std::string& event, const std::string& driver) {
  const auto row = table().find(event);
  if (row == table().end()) return nullptr;
  return driver == "peermr_vfio" ? &row->second.ours : &row->second.mainline;
}

}  // namespace events_test
