// SPDX-License-Identifier: BSD-2-Clause
#include "verbs/importer_table.hpp"

#include <algorithm>
#include <iterator>

namespace peermr::verbs {
namespace {

constexpr std::string_view kFaultableReason =
    "memory regions fault while their memory is revoked, and keep their keys";
constexpr std::string_view kRevocableReason =
    "a memory region is dead once its memory was revoked: the library registers a new one";
constexpr std::string_view kPinnedReason =
    "the driver pins what it imports and cannot give it up: VFIO's exporter refuses it";
constexpr std::string_view kNoneReason = "the driver cannot import dma-bufs";

// How drivers/infiniband/hw of Linux 7.2 implements reg_user_mr_dmabuf, by the name of the PCI
// driver that sysfs shows: ib_umem_dmabuf_get() with operations of its own,
// ..._pinned_revocable_...,
// ..._pinned(), or not at all.
struct Row {
  std::string_view driver;
  ImporterInfo info;
};

constexpr Row kDrivers[] = {
    {"pnic", {ImporterClass::kFaultable, kFaultableReason}},
    {"mlx5_core", {ImporterClass::kFaultable, kFaultableReason}},
    {"ice", {ImporterClass::kRevocable, kRevocableReason}},   // irdma
    {"i40e", {ImporterClass::kRevocable, kRevocableReason}},  // irdma
    {"idpf", {ImporterClass::kRevocable, kRevocableReason}},  // irdma
    {"efa", {ImporterClass::kPinned, kPinnedReason}},
    {"bnxt_en", {ImporterClass::kPinned, kPinnedReason}},
    {"mana", {ImporterClass::kPinned, kPinnedReason}},
    {"ionic", {ImporterClass::kPinned, kPinnedReason}},
    {"rxe", {ImporterClass::kNone, kNoneReason}},
    {"siw", {ImporterClass::kNone, kNoneReason}},
    {"erdma", {ImporterClass::kNone, kNoneReason}},
    {"hns3", {ImporterClass::kNone, kNoneReason}},
    {"mlx4_core", {ImporterClass::kNone, kNoneReason}},
    {"cxgb4", {ImporterClass::kNone, kNoneReason}},
    {"qede", {ImporterClass::kNone, kNoneReason}},
    {"be2net", {ImporterClass::kNone, kNoneReason}},
    {"hfi1", {ImporterClass::kNone, kNoneReason}},
    {"vmw_pvrdma", {ImporterClass::kNone, kNoneReason}},
};

}  // namespace

ImporterInfo importer_of_driver(std::string_view driver) noexcept {
  const auto* found = std::find_if(std::begin(kDrivers), std::end(kDrivers),
                                   [driver](const Row& row) { return row.driver == driver; });
  if (found != std::end(kDrivers)) return found->info;
  return {ImporterClass::kUnknown, "this library does not know the driver"};
}

ImporterInfo importer_of_pnic(std::string_view dmabuf_import) noexcept {
  if (dmabuf_import == "revocable") return {ImporterClass::kRevocable, kRevocableReason};
  return importer_of_driver("pnic");
}

ImporterInfo importer_without_odp() noexcept {
  return {ImporterClass::kPinned,
          "without on-demand paging the driver pins what it imports: VFIO's exporter refuses it"};
}

std::string_view to_string(ImporterClass importer) noexcept {
  switch (importer) {
    case ImporterClass::kUnknown:
      return "unknown";
    case ImporterClass::kFaultable:
      return "faultable";
    case ImporterClass::kRevocable:
      return "revocable";
    case ImporterClass::kPinned:
      return "pinned";
    case ImporterClass::kNone:
      return "none";
  }
  return "unknown";
}

}  // namespace peermr::verbs
