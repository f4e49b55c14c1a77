// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/entries.hpp"

#include <fstream>

namespace exporter_test {

namespace {

const std::string kTracing = "/sys/kernel/tracing/";
const std::string kProbe = "fprobes/peermr_huge";

bool append(const std::string& file, const std::string& line) {
  std::ofstream out(kTracing + file, std::ios::app);
  out << line << std::flush;
  return out.good();
}

bool put(const std::string& file, const std::string& line) {
  std::ofstream out(kTracing + file);
  out << line << std::flush;
  return out.good();
}

}  // namespace

HugeEntries::HugeEntries() {
  // The entry itself, through the fault's pointer to it, when the function returns.
  possible_ = append("dynamic_events",
                     "f:" + kProbe +
                         " vmf_insert_pfn_pmd%return at=vmf->address entry=+0(vmf->pmd):x64"
                         " result=$retval:x32\n") &&
              put("trace", "") && put("events/" + kProbe + "/enable", "1");
}

HugeEntries::~HugeEntries() {
  put("events/" + kProbe + "/enable", "0");
  append("dynamic_events", "-:" + kProbe + "\n");
}

std::vector<HugeEntry> HugeEntries::take() const {
  std::vector<HugeEntry> entries;
  {
    std::ifstream trace(kTracing + "trace");
    for (std::string line; std::getline(trace, line);) {
      const auto at = line.find(" at=");
      if (line.find("peermr_huge") == std::string::npos || at == std::string::npos) continue;
      const auto entry = line.find(" entry=0x", at);
      if (entry == std::string::npos) continue;
      entries.push_back({std::stoull(line.substr(at + 4), nullptr, 0),
                         std::stoull(line.substr(entry + 7), nullptr, 0)});
    }
  }
  put("trace", "");
  return entries;
}

}  // namespace exporter_test
