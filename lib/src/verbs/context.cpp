// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "peermr/verbs.hpp"

namespace peermr::verbs {
namespace {

constexpr std::string_view kOpen = "open RDMA device";

struct FreeList {
  void operator()(ibv_device** list) const noexcept { ibv_free_device_list(list); }
};

std::string names_of(const std::vector<RdmaDevice>& devices) {
  if (devices.empty()) return "this machine has no RDMA device; is its driver loaded?";
  std::string text = "there are:";
  for (const RdmaDevice& device : devices) {
    text += ' ' + device.name;
    if (device.bdf) text += " (" + device.bdf->to_string() + ')';
  }
  return text;
}

Result<ibv_context*> open_by_name(const RdmaDevice& device) {
  int count = 0;
  const std::unique_ptr<ibv_device*[], FreeList> list(ibv_get_device_list(&count));
  if (!list) return errno_error(errno, "list RDMA devices");
  const auto* end = list.get() + count;
  const auto* found =
      std::find_if(const_cast<ibv_device* const*>(list.get()), end,
                   [&](ibv_device* one) { return device.name == ibv_get_device_name(one); });
  if (found == end) {
    return make_error(std::errc::no_such_device, kOpen, device.name,
                      "the kernel has it, but libibverbs has no provider for it (driver " +
                          device.driver + "), or its uverbs device is not accessible");
  }
  ibv_context* context = ibv_open_device(*found);
  if (context == nullptr) return errno_error(errno != 0 ? errno : EIO, kOpen, device.name);
  return context;
}

template <typename Matches>
Result<RdmaDevice> find_device(const std::string& wanted, const SystemPaths& paths,
                               Matches matches) {
  const auto devices = list_devices(paths);
  if (!devices) return devices.error();
  const auto found = std::find_if(devices->begin(), devices->end(), matches);
  if (found != devices->end()) return *found;
  return make_error(std::errc::no_such_device, kOpen, wanted, names_of(*devices));
}

}  // namespace

void Context::Close::operator()(ibv_context* context) const noexcept {
  if (const int error_number = ibv_close_device(context); error_number != 0) {
    log(LogLevel::kWarning, "{}", errno_error(error_number, "close RDMA device").message());
  }
}

Result<Context> Context::open(std::string_view name, const SystemPaths& paths) {
  const auto device = find_device(std::string(name), paths,
                                  [name](const RdmaDevice& one) { return one.name == name; });
  if (!device) return device.error();
  const auto context = open_by_name(*device);
  if (!context) return context.error();
  return Context(std::unique_ptr<ibv_context, Close>(*context), describe(*context, paths));
}

Result<Context> Context::open(const Bdf& bdf, const SystemPaths& paths) {
  const auto device =
      find_device(bdf.to_string(), paths, [&bdf](const RdmaDevice& one) { return one.bdf == bdf; });
  if (!device) return device.error();
  return open(device->name, paths);
}

}  // namespace peermr::verbs
