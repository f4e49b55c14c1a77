# SPDX-License-Identifier: BSD-2-Clause
#
# Finds rdma-core's source and makes an include directory of its private headers, without building
# rdma-core.
#
# Cache variables:
#   PEERMR_RDMA_CORE_SOURCE  the source tree; by default /usr/src/rdma-core*
#   PEERMR_RDMA_CORE_ABI     number of libibverbs' private ABI; by default deduced from the version

include_guard(GLOBAL)

set(PEERMR_RDMA_CORE_SOURCE "" CACHE PATH "Source tree of the installed rdma-core")
set(PEERMR_RDMA_CORE_ABI "" CACHE STRING "Private ABI of libibverbs (deduced when empty)")

# The private ABI of an rdma-core version, empty if that version is too old.
function(pnic_private_abi version out)
  string(REGEX MATCH "^[0-9]+" major "${version}")
  set(abi "")
  if(major GREATER_EQUAL 64)
    set(abi ${major})
  elseif(major GREATER_EQUAL 59)
    set(abi 59)
  elseif(major GREATER_EQUAL 57)
    set(abi 57)
  elseif(major GREATER_EQUAL 34)
    set(abi 34)
  endif()
  set(${out} "${abi}" PARENT_SCOPE)
endfunction()

# The first tree of the default places, or the one that was asked for.
function(pnic_source_tree out)
  set(places "${PEERMR_RDMA_CORE_SOURCE}")
  if(NOT places)
    file(GLOB places LIST_DIRECTORIES true "/usr/src/rdma-core*")
  endif()
  set(${out} "" PARENT_SCOPE)
  foreach(place IN LISTS places)
    if(EXISTS "${place}/libibverbs/driver.h" AND EXISTS "${place}/CMakeLists.txt")
      set(${out} "${place}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Turns a kernel ABI header into the tagless structs that kern-abi.h builds its commands from, with
# rdma-core's own script.
function(pnic_abi_structs header out)
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" "${source}/buildlib/make_abi_structs.py" "${header}" "${out}"
    RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "providers/pnic: make_abi_structs.py failed on ${header}")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
endfunction()

function(pnic_make_include_dir source dir)
  file(REMOVE_RECURSE "${dir}")
  file(MAKE_DIRECTORY "${dir}/infiniband" "${dir}/kernel-abi")
  configure_file(rdma_core_config.h.in "${dir}/config.h" @ONLY)
  file(GLOB headers "${source}/libibverbs/*.h")
  list(APPEND headers "${source}/kernel-headers/rdma/ib_user_ioctl_verbs.h")
  foreach(header IN LISTS headers)
    get_filename_component(base "${header}" NAME)
    file(CREATE_LINK "${header}" "${dir}/infiniband/${base}" SYMBOLIC)
  endforeach()
  file(CREATE_LINK "${source}/util" "${dir}/util" SYMBOLIC)
  file(CREATE_LINK "${source}/ccan" "${dir}/ccan" SYMBOLIC)
  file(MAKE_DIRECTORY "${dir}/rdma")
  file(GLOB headers "${source}/kernel-headers/rdma/*")
  foreach(header IN LISTS headers)
    get_filename_component(base "${header}" NAME)
    file(CREATE_LINK "${header}" "${dir}/rdma/${base}" SYMBOLIC)
  endforeach()
  pnic_abi_structs("${source}/kernel-headers/rdma/ib_user_verbs.h"
    "${dir}/kernel-abi/ib_user_verbs.h")
  pnic_abi_structs("${PROJECT_SOURCE_DIR}/kernel/include/rdma/pnic-abi.h"
    "${dir}/kernel-abi/pnic-abi.h")
endfunction()

# What differs between versions in the functions that the provider calls, as definitions for it.
function(pnic_read_signatures driver_h out)
  file(READ "${driver_h}" text)
  set(definitions "")
  # Driver data along with a dma-buf registration (newer than 44).
  string(REGEX MATCH "ibv_cmd_reg_dmabuf_mr\\([^)]*ibv_command_buffer" found "${text}")
  if(found)
    list(APPEND definitions PNIC_RDMA_CORE_DMABUF_DRIVER)
  endif()
  # Descriptors handed over with a new context (from 57 on).
  string(REGEX MATCH "ibv_cmd_get_context\\([^)]*ibv_fd_arr" found "${text}")
  if(found)
    list(APPEND definitions PNIC_RDMA_CORE_CONTEXT_FDS)
  endif()
  set(${out} "${definitions}" PARENT_SCOPE)
endfunction()

# Sets PEERMR_RDMA_CORE_ABI, PNIC_RDMA_CORE_INCLUDE and PNIC_RDMA_CORE_DEFINITIONS, or <missing> to
# what is missing and how to get it.
macro(pnic_find_rdma_core missing)
  set(${missing} "")
  find_package(Python3 QUIET COMPONENTS Interpreter)
  pnic_source_tree(source)
  if(NOT source)
    set(${missing} "needs rdma-core's source (apt-get source rdma-core, then "
      "-DPEERMR_RDMA_CORE_SOURCE=<its directory>)")
    list(JOIN ${missing} "" ${missing})
  elseif(NOT Python3_Interpreter_FOUND)
    set(${missing} "apt-get install python3-minimal")
  else()
    file(STRINGS "${source}/CMakeLists.txt" line REGEX "set\\(PACKAGE_VERSION ")
    string(REGEX MATCH "[0-9]+\\.[0-9.]*[0-9]" source_version "${line}")
    pnic_private_abi("${source_version}" source_abi)
    # libibverbs.pc says 1.<minor>.<version of rdma-core>
    string(REGEX REPLACE "^1\\.[0-9]+\\." "" installed_version "${IBVERBS_VERSION}")
    pnic_private_abi("${installed_version}" installed_abi)
    if(NOT PEERMR_RDMA_CORE_ABI)
      set(PEERMR_RDMA_CORE_ABI "${source_abi}")
    endif()
    if(NOT PEERMR_RDMA_CORE_ABI)
      set(${missing} "rdma-core ${source_version} in ${source} is too old (34 at least)")
    elseif(NOT installed_abi STREQUAL PEERMR_RDMA_CORE_ABI)
      set(${missing} "${source} is rdma-core ${source_version} (private ABI \
${PEERMR_RDMA_CORE_ABI}), installed is ${installed_version} (ABI ${installed_abi}): set \
PEERMR_RDMA_CORE_SOURCE to the source of that version")
    else()
      set(PNIC_RDMA_CORE_INCLUDE "${CMAKE_CURRENT_BINARY_DIR}/rdma-core")
      pnic_make_include_dir("${source}" "${PNIC_RDMA_CORE_INCLUDE}")
      pnic_read_signatures("${source}/libibverbs/driver.h" PNIC_RDMA_CORE_DEFINITIONS)
      message(STATUS "providers/pnic: rdma-core ${source_version}, private ABI "
        "${PEERMR_RDMA_CORE_ABI}")
    endif()
  endif()
endmacro()
