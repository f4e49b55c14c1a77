// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/entries.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "exporter/device.hpp"

namespace exporter_test {

namespace {

const std::string kTracing = "/sys/kernel/tracing/";
const std::string kProbe = "fprobes/peermr_huge";

// One write, and no seek, which these files refuse: streams and stdio do not keep to that.
bool put(const std::string& file, const std::string& line, int flags = O_TRUNC) {
  const Fd fd(::open((kTracing + file).c_str(), O_WRONLY | O_CLOEXEC | flags));
  return fd.ok() && ::write(fd.get(), line.data(), line.size()) >= 0;
}

}  // namespace

HugeEntries::HugeEntries() {
  // The entry itself, through the fault's pointer to it, when the function returns.
  possible_ = put("dynamic_events",
                  "f:" + kProbe +
                      " vmf_insert_pfn_pmd%return at=vmf->address entry=+0(vmf->pmd):x64"
                      " result=$retval:x32\n",
                  O_APPEND) &&
              put("trace", "") && put("events/" + kProbe + "/enable", "1");
}

HugeEntries::~HugeEntries() {
  put("events/" + kProbe + "/enable", "0");
  put("dynamic_events", "-:" + kProbe + "\n", O_APPEND);
}

bool HugeEntries::offered() {
  std::ifstream readme(kTracing + "README");
  for (std::string line; std::getline(readme, line);)
    if (line.find("<func-name>[%return]") != std::string::npos) return true;
  return false;
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
