// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <infiniband/verbs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "base/call_time.hpp"
#include "region/registrar.hpp"
#include "vfio/buffer_source.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr::detail {
namespace {

/// A registration, and the buffer that was made for it, if any.
struct OwnKey {
  ibv_mr* mr = nullptr;
  UniqueFd buffer;
  bool ended = false;
};

class VerbsRegistrar final : public Registrar {
 public:
  VerbsRegistrar(ibv_pd* pd, DmaBuf buffer, const RegistrationRequest& request, KeyPolicy keys,
                 const SystemPaths& paths)
      : pd_(pd),
        buffer_(std::move(buffer)),
        request_(request),
        paths_(paths),
        importer_(verbs::describe(pd->context, paths)),
        source_(keys == KeyPolicy::kFresh ? buffer_.state()->source : nullptr) {}

  Result<Registration> add() override {
    auto key = std::make_unique<OwnKey>();
    if (source_) {
      auto made = next_buffer();
      if (!made) return made.error();
      key->buffer = *std::move(made);
    }
    key->mr = register_part(key->buffer ? key->buffer.get() : buffer_.fd(), request_.length_bytes);
    if (key->mr == nullptr) return explain(errno);
    const Registration made{
        .handle = key.get(), .lkey = Lkey(key->mr->lkey), .rkey = Rkey(key->mr->rkey)};
    keys_.push_back(std::move(key));
    return made;
  }

  Result<void> remove(const Registration& registration) override {
    const auto found =
        std::find_if(keys_.begin(), keys_.end(),
                     [&](const auto& key) { return key.get() == registration.handle; });
    const std::unique_ptr<OwnKey> key = std::move(*found);
    keys_.erase(found);
    const int error_number = deregister(key->mr);
    auto ended = key->buffer ? end(*key) : Result<void>();
    if (error_number != 0) return errno_error(error_number, "deregister", object());
    return ended;
  }

  // libibverbs has no question for this, but whoever registers a page knows.
  Result<void> probe() override {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t to_end_of_page = page - request_.offset_bytes % page;
    ibv_mr* mr = register_part(buffer_.fd(), std::min(request_.length_bytes, to_end_of_page));
    if (mr == nullptr) return explain(errno);
    const int error_number = deregister(mr);
    if (error_number != 0) return errno_error(error_number, "probe", object());
    return {};
  }

  const verbs::RdmaDevice& importer() const noexcept override { return importer_; }

  bool ends_keys() const noexcept override {
    return source_ || importer_.importer != verbs::ImporterClass::kFaultable;
  }
  bool ends_keys_unrevoked() const noexcept override { return source_ != nullptr; }
  std::chrono::nanoseconds in_kernel() const noexcept override { return calls_.total(); }

 private:
  ibv_mr* register_part(int fd, std::uint64_t length) {
    return calls_.of([&] {
      errno = 0;
      return ibv_reg_dmabuf_mr(pd_, request_.offset_bytes, length, request_.address.value(), fd,
                               request_.access);
    });
  }

  int deregister(ibv_mr* mr) {
    return calls_.of([mr] { return ibv_dereg_mr(mr); });
  }

  // The keys made before are let in nowhere from here on, whatever becomes of the memory.
  Result<UniqueFd> next_buffer() {
    const auto state = calls_.of([this] { return source_->state_of(buffer_.fd()); });
    if (!state) return state.error();
    if (*state == vfio::BufferState::kDead) return make_error(Errc::kDead, "register", object());
    if (*state != vfio::BufferState::kLive) return explain(ENODEV);
    for (const auto& key : keys_) {
      if (auto ended = end(*key); !ended) return ended.error();
    }
    return calls_.of([this] { return source_->make(); });
  }

  Result<void> end(OwnKey& key) {
    if (key.ended) return {};
    auto ended = calls_.of([&] { return source_->end(key.buffer.get()); });
    key.ended = ended.has_value();
    return ended;
  }

  std::string object() const { return buffer_.name() + " with " + importer_.name; }

  Error explain(int error_number) const {
    switch (error_number) {
      case ENODEV:
        return make_error(Errc::kRevoked, "register", object(),
                          "memory decode is off, a reset is under way, the buffer waits to be "
                          "re-armed, or it is dead");
      case EAGAIN:
      case EINTR:
      case EBUSY:
        return make_error(Errc::kRevoked, "register", object(),
                          std::error_code(error_number, std::generic_category()).message());
      case EOPNOTSUPP:
      case ENOSYS:
        return refused_importer();
      case EADDRINUSE:
        return errno_error(error_number, "register", object(),
                           "the kernel's exporter cannot map several ranges through an IOMMU: "
                           "export them one by one, or as one");
      case EINVAL:
        if (auto error = unsupported_path()) return *std::move(error);
        return errno_error(error_number, "register", object());
      case EXDEV:
        if (auto error = unsupported_path()) return *std::move(error);
        return make_error(Errc::kPathNotSupported, "register", object(),
                          "the kernel knows no peer-to-peer path between the two devices");
      default:
        return errno_error(error_number != 0 ? error_number : EIO, "register", object());
    }
  }

  Error refused_importer() const {
    const std::string why =
        fmt::format("driver {}: {}", importer_.driver.empty() ? "unknown" : importer_.driver,
                    importer_.importer_reason);
    const bool pinned = importer_.importer != verbs::ImporterClass::kNone;
    return make_error(pinned ? Errc::kImporterNotRevocable : Errc::kImporterNoDmaBuf, "register",
                      object(), why);
  }

  // EINVAL from mainline's exporter may mean that the kernel knows no path between the two devices;
  // EXDEV, from ours, does. Neither says why.
  std::optional<Error> unsupported_path() const {
    if (!buffer_.exporter() || !importer_.bdf) return std::nullopt;
    const auto topology = Topology::read(paths_);
    if (!topology) return std::nullopt;
    const auto path = topology->predict(*buffer_.exporter(), *importer_.bdf);
    if (!path || path->path != P2pPath::kNotSupported) return std::nullopt;
    return make_error(Errc::kPathNotSupported, "register", object(),
                      fmt::format("from {} to {}: {}; {}", importer_.bdf->to_string(),
                                  buffer_.exporter()->to_string(), path->reason, path->remedy));
  }

  ibv_pd* pd_;
  DmaBuf buffer_;
  RegistrationRequest request_;
  SystemPaths paths_;
  verbs::RdmaDevice importer_;
  // Null: keys are made of buffer_ itself.
  const std::shared_ptr<const vfio::BufferSource> source_;
  std::vector<std::unique_ptr<OwnKey>> keys_;
  CallTime calls_;
};

}  // namespace

std::unique_ptr<Registrar> make_verbs_registrar(ibv_pd* pd, DmaBuf buffer,
                                                const RegistrationRequest& request, KeyPolicy keys,
                                                const SystemPaths& paths) {
  return std::make_unique<VerbsRegistrar>(pd, std::move(buffer), request, keys, paths);
}

}  // namespace peermr::detail
