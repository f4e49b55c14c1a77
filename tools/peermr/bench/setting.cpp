// SPDX-License-Identifier: BSD-2-Clause
#include "bench/setting.hpp"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace peermr::tool {
namespace {

constexpr rlim_t kOtherFiles = 256;

}  // namespace

Setting describe_setting(const std::string& label, const Topology& topology, const Bdf& exporter,
                         const BenchDevice& importer) {
  Setting setting;
  utsname system{};
  ::uname(&system);
  setting.label = label;
  setting.kernel = system.release;
  setting.importer = report_device(importer);
  setting.importer_class = importer.info().importer;
  setting.path = "unknown";
  if (const auto& bdf = importer.info().bdf) {
    if (auto path = topology.predict(exporter, *bdf)) setting.path = to_string(path->path);
  }
  return setting;
}

nlohmann::json to_json(const Setting& setting) {
  return {{"label", setting.label},
          {"kernel", setting.kernel},
          {"importer",
           {{"name", setting.importer.name},
            {"driver", setting.importer.driver},
            {"pci", setting.importer.bdf},
            {"kind", to_string(setting.importer.kind)},
            {"class", to_string(setting.importer_class)}}},
          {"path", setting.path}};
}

std::string describe(const Setting& setting) {
  const std::string label = setting.label.empty() ? "" : fmt::format(" ({})", setting.label);
  return fmt::format("{}: importer {} ({}, {}), path {}, Linux {}", label, setting.importer.name,
                     to_string(setting.importer.kind), to_string(setting.importer_class),
                     setting.path, setting.kernel);
}

Result<std::string> importer_name(const std::string& name) {
  if (!name.empty()) return name;
  auto names = rdma_device_names();
  if (!names) return std::move(names).error();
  return names->front();
}

Result<void> allow_files(std::uint64_t count) {
  const rlim_t wanted = count + kOtherFiles;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return {};
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return errno_error(errno, "open so many files", std::to_string(wanted),
                     "raise the limit (ulimit -n), or use fewer buffers");
}

}  // namespace peermr::tool
