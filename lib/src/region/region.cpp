// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/region.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "base/checked.hpp"
#include "base/log.hpp"
#include "peermr/monitor.hpp"
#include "region/event_queue.hpp"
#include "region/monitor_core.hpp"
#include "region/region_core.hpp"
#include "region/registrar.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr {
namespace {

// What the kernel lets a dma-buf have (uverbs_std_types_mr.c).
constexpr int kDmaBufAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
                              IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC |
                              IBV_ACCESS_RELAXED_ORDERING;

Result<detail::RegistrationRequest> check_options(const DmaBuf& buffer,
                                                  const RegionOptions& options) {
  const auto refuse = [&buffer](const std::string& why) {
    return make_error(std::errc::invalid_argument, "make region of", buffer.name(), why);
  };
  const std::uint64_t offset = options.offset_bytes;
  if (offset >= buffer.size_bytes() ||
      !range_in(offset, options.length_bytes, buffer.size_bytes())) {
    return refuse(fmt::format("{:#x}+{:#x} is not within the buffer, which has {:#x} bytes", offset,
                              options.length_bytes, buffer.size_bytes()));
  }
  const Iova address = options.address.value_or(Iova(offset));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (address.value() % page != offset % page) {
    return refuse(fmt::format("address {:#x} and offset {:#x} differ within a page",
                              address.value(), offset));
  }
  if ((options.access & ~kDmaBufAccess) != 0) {
    return refuse(
        fmt::format("access flags {:#x} are not for dma-bufs", options.access & ~kDmaBufAccess));
  }
  return detail::RegistrationRequest{.offset_bytes = offset,
                                     .length_bytes = options.length_bytes != 0
                                                         ? options.length_bytes
                                                         : buffer.size_bytes() - offset,
                                     .address = address,
                                     .access = options.access};
}

}  // namespace

std::string_view to_string(RegionState state) noexcept {
  switch (state) {
    case RegionState::kLive:
      return "live";
    case RegionState::kRevoked:
      return "revoked";
    case RegionState::kRestoring:
      return "restoring";
    case RegionState::kDead:
      return "dead";
  }
  return "unknown";
}

Result<Region> Region::create(ibv_pd* pd, const DmaBuf& buffer, const RegionOptions& options) {
  const auto request = check_options(buffer, options);
  if (!request) return request.error();
  auto registrar = 
      detail::make_verbs_registrar(pd, buffer.share(), *request, options.keys, options.paths);
  detail::RegionConfig config{.name = buffer.name() + " on " + registrar->importer().name,
                              .length_bytes = request->length_bytes,
                              .address = request->address,
                              .on_revoke = options.on_revoke,
                              .keys = options.keys,
                              .back_off = options.back_off,
                              .on_event = options.events == nullptr
                                              ? options.on_event
                                              : options.events->core()->listener(
                                                    options.cookie, options.on_event)};
  detail::Subscribe subscribe;
  if (options.monitor != nullptr && registrar->importer().bdf) {
    subscribe = [&buffer, &options, importer = *registrar->importer().bdf](
                    const std::weak_ptr<detail::Watcher>& watcher) {
      return options.monitor->core()->subscribe(
          {buffer.state().get(), importer},
          [&] { return detail::make_counter(buffer, importer, options.paths); }, watcher);
    };
  }
  return detail::RegionCore::create(std::move(registrar), buffer.state()->events, std::move(config),
                                    buffer.state()->part, subscribe)
      .transform([](std::shared_ptr<detail::RegionCore> core) { return Region(std::move(core)); });
}

Region::Region(std::shared_ptr<detail::RegionCore> core) noexcept : core_(std::move(core)) {}
Region::Region(Region&&) noexcept = default;

Region& Region::operator=(Region&& other) noexcept {
  if (this != &other) {
    const Region old(std::move(core_));
    core_ = std::move(other.core_);
  }
  return *this;
}

Region::~Region() {
  if (!core_) return;
  const auto closed = close();
  if (closed) return;
  log(LogLevel::kError, "{}", closed.error().message());
  // The lease may be of this region, and its keys must stay: better lost than freed under it.
  if (closed.error().code() == Errc::kLeaseHeld) {
    static_cast<void>(new std::shared_ptr<detail::RegionCore>(std::move(core_)));
  }
}

Lease Region::lease() const noexcept {
  return core_->lease();
}
RegionState Region::state() const noexcept {
  return core_->state();
}
Generation Region::generation() const noexcept {
  return core_->generation();
}
KeyEpoch Region::key_epoch() const noexcept {
  return core_->key_epoch();
}
const verbs::RdmaDevice& Region::importer() const noexcept {
  return core_->importer();
}
const std::string& Region::name() const noexcept {
  return core_->name();
}

std::optional<RegionKeys> Region::keys() const noexcept {
  if (const Lease held = lease()) return *held;
  return std::nullopt;
}

CompletionVerdict Region::report_completion(ibv_wc_status status, Generation posted_in) noexcept {
  return core_->report_completion(status, posted_in);
}

Result<void> Region::recover(std::optional<std::chrono::nanoseconds> limit) {
  return core_->recover(limit);
}

Result<void> Region::release_keys_before(KeyEpoch epoch) {
  return core_->release_keys_before(epoch);
}

Result<void> Region::close() {
  return core_ ? core_->close() : Result<void>();
}

}  // namespace peermr
