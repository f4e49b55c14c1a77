// SPDX-License-Identifier: BSD-2-Clause
//
// The calls of a device that only peermr's own exporters have.

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/log.hpp"
#include "base/may_wait.hpp"
#include "vfio/device_impl.hpp"
#include "vfio/dma_buf_state.hpp"
#include "vfio/exporter.hpp"

namespace peermr::vfio {

using peermr::detail::may_wait;

namespace {

template <typename Argument>
Argument argument_for(const DmaBuf& buffer) {
  Argument argument{};
  argument.size = sizeof(argument);
  argument.dmabuf_fd = buffer.fd();
  return argument;
}

// The buffer is dead whatever ended the call; with these it was, or may be, somebody else's.
bool buffer_is_dead(int error_number) noexcept {
  return error_number == 0 || error_number == EBADFD || error_number == EINTR ||
         error_number == ENODEV;
}

// What became of a buffer that was to be taken back. Users that came while the kernel did it were
// not told before.
void tell_users(Device::Impl& impl, const std::shared_ptr<peermr::detail::MemoryPart>& part,
                bool dead, std::unique_lock<std::mutex>& transition) {
  if (!part) return;
  if (!transition.owns_lock()) {
    if (!dead || !impl.events->has_users(*part)) return;
    transition = impl.events->begin_transition();
    if (const auto quiet = impl.events->quiesce_part(*part); !quiet) {
      log(LogLevel::kError, "{}", quiet.error().message());
    }
  }
  if (dead) {
    impl.events->gone_part(*part);
  } else {
    impl.events->resume_part(*part);
  }
}

}  // namespace

const ExporterFeatures& Device::exporter_features() const noexcept {
  return impl_->features;
}

bool Device::can_export_dma_buf() const {
  return impl_->features.kind != ExporterKind::kNone;
}

Result<ExporterInfo> Device::exporter_info() const {
  constexpr std::string_view kAsk = "ask for the exporter of";
  if (!impl_->features.info) {
    return not_offered(kAsk, impl_->name, impl_->pci, impl_->features);
  }
  peermr_export_info info{};
  info.size = sizeof(info);
  if (const int status = impl_->backend->call(ExportCall::kInfo, &info, sizeof(info)); status < 0) {
    return exporter_error(-status, kAsk, impl_->name);
  }
  return to_info(info);
}

Result<BufferStatus> Device::query(const DmaBuf& buffer) const {
  constexpr std::string_view kQuery = "query dma-buf of";
  if (!impl_->features.query) {
    return not_offered(kQuery, buffer.name(), impl_->pci, impl_->features);
  }
  auto argument = argument_for<peermr_export_query>(buffer);
  const int status = impl_->backend->call(ExportCall::kQuery, &argument, sizeof(argument));
  if (status < 0) return exporter_error(-status, kQuery, buffer.name());
  return to_status(argument);
}

Result<void> Device::revoke(const DmaBuf& buffer) {
  constexpr std::string_view kRevoke = "revoke dma-buf of";
  if (!impl_->features.revoke) {
    return not_offered(kRevoke, buffer.name(), impl_->pci, impl_->features);
  }
  if (auto may = may_wait(kRevoke, buffer.name()); !may) return may;
  const auto& part = buffer.state()->part;
  // With nobody to be told in this process it excludes nothing and waits for no other call: the
  // kernel takes each buffer back by itself, even while a reset waits for the importer of another.
  std::unique_lock<std::mutex> transition;
  if (part && impl_->events->has_users(*part)) {
    transition = impl_->events->begin_transition();
    if (auto quiet = impl_->events->quiesce_part(*part); !quiet) return quiet;
  }
  auto argument = argument_for<peermr_export_revoke>(buffer);
  const int error_number =
      -std::min(impl_->backend->call(ExportCall::kRevoke, &argument, sizeof(argument)), 0);
  tell_users(*impl_, part, buffer_is_dead(error_number), transition);
  if (error_number == 0) return {};
  if (error_number == EINTR) {
    return errno_error(error_number, kRevoke, buffer.name(),
                       "the buffer is dead, but an importer has not let go of it; call again to "
                       "wait on");
  }
  return exporter_error(error_number, kRevoke, buffer.name());
}

Result<void> Device::rearm(const DmaBuf& buffer, std::uint64_t revokes) {
  constexpr std::string_view kRearm = "re-arm dma-buf of";
  if (!impl_->features.manual_rearm) {
    return not_offered(kRearm, buffer.name(), impl_->pci, impl_->features);
  }
  if (auto may = may_wait(kRearm, buffer.name()); !may) return may;
  const auto transition = impl_->events->begin_transition();
  // Should it be revoked after this, the kernel refuses.
  const auto before = query(buffer);
  const bool was_live = before && before->state == BufferState::kLive;
  auto argument = argument_for<peermr_export_rearm>(buffer);
  argument.revokes = revokes;
  const int status = impl_->backend->call(ExportCall::kRearm, &argument, sizeof(argument));
  if (status < 0) return exporter_error(-status, kRearm, buffer.name());
  const auto& part = buffer.state()->part;
  if (!part) return {};
  if (was_live) {
    impl_->events->resume_part(*part);
  } else {
    impl_->events->restore_part(*part);
  }
  return {};
}

Result<void> Device::make_private(PrivateMappings mappings) {
  constexpr std::string_view kMake = "make private the memory of";
  if (!impl_->features.make_private) {
    return not_offered(kMake, impl_->name, impl_->pci, impl_->features);
  }
  if (auto may = may_wait(kMake, impl_->name); !may) return may;
  const auto transition = impl_->events->begin_transition();
  if (auto quiet = impl_->events->quiesce_all(); !quiet) return quiet;
  peermr_export_private argument{};
  argument.size = sizeof(argument);
  argument.flags = mappings == PrivateMappings::kZap ? PEERMR_PRIVATE_ZAP : 0;
  const int status = impl_->backend->call(ExportCall::kPrivate, &argument, sizeof(argument));
  if (status >= 0 || status == -EALREADY) {
    impl_->events->gone_all();
  } else {
    impl_->events->resume_all();
  }
  if (status < 0) return exporter_error(-status, kMake, impl_->name);
  return {};
}

}  // namespace peermr::vfio
