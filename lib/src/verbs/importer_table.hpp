// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string_view>

#include "peermr/verbs.hpp"

namespace peermr::verbs {

struct ImporterInfo {
  ImporterClass importer;
  std::string_view reason;
};

/// By the PCI driver's name, or "rxe" and "siw". mlx5 is taken to have on-demand paging.
[[nodiscard]] ImporterInfo importer_of_driver(std::string_view driver) noexcept;

/// pnic in the mode that its module parameter dmabuf_import says.
[[nodiscard]] ImporterInfo importer_of_pnic(std::string_view dmabuf_import) noexcept;

/// mlx5 without on-demand paging, whose MRs are pinned.
[[nodiscard]] ImporterInfo importer_without_odp() noexcept;

}  // namespace peermr::verbs
