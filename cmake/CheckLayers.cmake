# SPDX-License-Identifier: BSD-2-Clause
#
# cmake -D LIB_DIR=<lib> -P CheckLayers.cmake
#
# Fails when a source of libpeermr includes a header of a layer that it may not use. The table of
# public headers says to which layer each belongs.

cmake_minimum_required(VERSION 3.25)

set(may_include_base base)
set(may_include_pci base pci)
set(may_include_vfio base pci vfio)
set(may_include_vend base pci vfio vend)
set(may_include_verbs base pci verbs)
set(may_include_region base pci vfio verbs region)
set(may_include_connection base pci vfio verbs region connection)
set(may_include_capi base pci vfio vend verbs region connection capi)

set(public_base bdf error export log result thread_sections types unique_fd)
set(public_pci topology)
set(public_vfio vfio dma_buf exporter watch)

# kernel/include, which every layer may use.
set(kernel_headers vfio_cdev vfio_dmabuf peermr_export peermr_vfio peermr_bar dmabuf_watch)
set(public_vend vend borrow)
set(public_verbs verbs)
set(public_region events lease monitor region region_cache)
set(public_connection connection descriptor handshake messages out_of_band publication queue_pair
    replay_log work)
set(public_capi peermr peermr_cache peermr_connection peermr_events peermr_publication peermr_qp
    peermr_vend peermr_watch peermr_work)

set(failed FALSE)
foreach(layer base pci vfio vend verbs region connection capi)
  foreach(lower IN LISTS public_${layer})
    set(layer_of_${lower} ${layer})
  endforeach()
endforeach()

function(check_file file layer)
  file(STRINGS "${file}" includes REGEX "^#include \"")
  foreach(line IN LISTS includes)
    if(NOT line MATCHES "\"([a-z]+)/([a-z_]+)\\.(hpp|h)\"")
      continue()
    endif()
    set(used "${CMAKE_MATCH_1}")
    if(used STREQUAL "peermr")
      if(CMAKE_MATCH_2 IN_LIST kernel_headers)
        continue()
      endif()
      set(used "${layer_of_${CMAKE_MATCH_2}}")
    endif()
    if(NOT used IN_LIST may_include_${layer})
      message(SEND_ERROR "${file} (layer ${layer}): ${line} is of layer \"${used}\"")
    endif()
  endforeach()
endfunction()

foreach(layer base pci vfio vend verbs region connection capi)
  file(GLOB sources "${LIB_DIR}/src/${layer}/*.cpp" "${LIB_DIR}/src/${layer}/*.hpp")
  foreach(header IN LISTS public_${layer})
    foreach(extension hpp h)
      if(EXISTS "${LIB_DIR}/include/peermr/${header}.${extension}" AND NOT header STREQUAL "peermr")
        list(APPEND sources "${LIB_DIR}/include/peermr/${header}.${extension}")
      endif()
    endforeach()
  endforeach()
  foreach(source IN LISTS sources)
    check_file("${source}" ${layer})
  endforeach()
endforeach()

# A header that is in no table would go unchecked.
file(GLOB headers RELATIVE "${LIB_DIR}/include/peermr" "${LIB_DIR}/include/peermr/*")
foreach(header IN LISTS headers)
  string(REGEX REPLACE "\\.(hpp|h)$" "" stem "${header}")
  if(NOT DEFINED layer_of_${stem})
    message(SEND_ERROR "${header} is in no layer's table in ${CMAKE_CURRENT_LIST_FILE}")
  endif()
endforeach()
