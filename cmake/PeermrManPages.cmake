# SPDX-License-Identifier: BSD-2-Clause
#
# peermr_install_man_pages(<section> <page> ...)
#
# Installs docs/man/<page>.<section>, and for each other name in a page's NAME section a page that refers to it, as
# malloc(3) has one for free(3). Component: man.

include_guard(GLOBAL)

function(peermr_install_man_pages section)
  set(folder "${CMAKE_INSTALL_MANDIR}/man${section}")
  foreach(page IN LISTS ARGN)
    set(file "${PROJECT_SOURCE_DIR}/docs/man/${page}.${section}")
    install(FILES "${file}" DESTINATION "${folder}" COMPONENT man)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" text)
    string(REGEX MATCH "\n\\.Sh NAME\n(\\.Nm [^\n]*\n)+" names "${text}")
    string(REGEX MATCHALL "\\.Nm [A-Za-z0-9_-]+" names "${names}")
    list(TRANSFORM names REPLACE "^\\.Nm " "")
    list(REMOVE_ITEM names "${page}")
    foreach(name IN LISTS names)
      set(link "${CMAKE_CURRENT_BINARY_DIR}/man/${name}.${section}")
      file(CONFIGURE OUTPUT "${link}" CONTENT ".so man${section}/${page}.${section}\n" @ONLY)
      install(FILES "${link}" DESTINATION "${folder}" COMPONENT man)
    endforeach()
  endforeach()
endfunction()
