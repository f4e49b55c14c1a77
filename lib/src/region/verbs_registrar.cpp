// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <infiniband/verbs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "region/registrar.hpp"

namespace peermr::detail {
namespace {

class VerbsRegistrar final : public Registrar {
 public:
  VerbsRegistrar(ibv_pd* pd, DmaBuf buffer, const RegistrationRequest& request,
                 const SystemPaths& paths)
      : pd_(pd),
        buffer_(std::move(buffer)),
        request_(request),
        paths_(paths),
        importer_(verbs::describe(pd->context, paths)) {}

  Result<Registration> add() override {
    ibv_mr* mr = register_part(request_.length_bytes);
    if (mr == nullptr) return explain(errno);
    return Registration{.handle = mr, .lkey = Lkey(mr->lkey), .rkey = Rkey(mr->rkey)};
  }

  Result<void> remove(const Registration& registration) override {
    const int error_number = ibv_dereg_mr(static_cast<ibv_mr*>(registration.handle));
    if (error_number != 0) return errno_error(error_number, "deregister", object());
    return {};
  }

  // libibverbs has no question for this, but whoever registers a page knows.
  Result<void> probe() override {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t to_end_of_page = page - request_.offset_bytes % page;
    ibv_mr* mr = register_part(std::min(request_.length_bytes, to_end_of_page));
    if (mr == nullptr) return explain(errno);
    const int error_number = ibv_dereg_mr(mr);
    if (error_number != 0) return errno_error(error_number, "probe", object());
    return {};
  }

  const verbs::RdmaDevice& importer() const noexcept override { return importer_; }

 private:
  ibv_mr* register_part(std::uint64_t length) {
    errno = 0;
    return ibv_reg_dmabuf_mr(pd_, request_.offset_bytes, length, request_.address.value(),
                             buffer_.fd(), request_.access);
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
};

}  // namespace

std::unique_ptr<Registrar> make_verbs_registrar(ibv_pd* pd, DmaBuf buffer,
                                                const RegistrationRequest& request,
                                                const SystemPaths& paths) {
  return std::make_unique<VerbsRegistrar>(pd, std::move(buffer), request, paths);
}

}  // namespace peermr::detail
