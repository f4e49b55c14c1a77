# SPDX-License-Identifier: BSD-2-Clause
#
# Installation of libpeermr: library, headers, CMake package, pkg-config file.

include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/peermr")

install(TARGETS peermr EXPORT peermr-targets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT peermr-targets NAMESPACE peermr:: DESTINATION "${config_dir}")

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
