# SPDX-License-Identifier: BSD-2-Clause
#
# Installation of libpeermr: library, headers, manual pages, CMake package, pkg-config file.

include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/peermr")

install(TARGETS peermr EXPORT peermr-targets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT peermr-targets NAMESPACE peermr:: DESTINATION "${config_dir}")

peermr_install_man_pages(3
  peermr
  peermr_borrower_borrow
  peermr_borrower_connect
  peermr_connection_create
  peermr_connection_next_event
  peermr_connection_post
  peermr_connection_process
  peermr_connection_publish
  peermr_descriptor_encode
  peermr_device_export
  peermr_device_features
  peermr_device_make_private
  peermr_device_open
  peermr_device_query
  peermr_device_quiesce
  peermr_device_reset
  peermr_device_revoke
  peermr_device_set_power
  peermr_dma_buf_adopt
  peermr_event_queue_create
  peermr_last_error
  peermr_lease_enter
  peermr_monitor_create
  peermr_monitor_watch_device
  peermr_predict_path
  peermr_publication_create
  peermr_qp_connect
  peermr_region_cache_create
  peermr_region_keys
  peermr_region_register
  peermr_region_report_completion
  peermr_vendor_create
  peermr_vendor_loans
  peermr_watch_create)

configure_package_config_file(peermr-config.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/peermr-config.cmake" INSTALL_DESTINATION "${config_dir}")
# Before 1.0, a minor version may change the interface.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/peermr-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/peermr-config.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/peermr-config-version.cmake"
  DESTINATION "${config_dir}")

# The installed tree may be moved: paths are relative to the file's own folder.
file(RELATIVE_PATH PC_PREFIX
  "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(peermr.pc.in "${CMAKE_CURRENT_BINARY_DIR}/peermr.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/peermr.pc"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
