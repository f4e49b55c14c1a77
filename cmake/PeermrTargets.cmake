# SPDX-License-Identifier: BSD-2-Clause
#
# What every target of the build shares: language level, visibility, warnings, kernel headers.

include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_BUILD_TYPE AND NOT multi_config)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Link privately: warnings are ours, not a consumer's. -Werror comes from the presets.
add_library(peermr_warnings INTERFACE)
target_compile_options(peermr_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wundef -Wformat=2
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wpedantic>)

# Definitions shared with the kernel. System headers: uapi structs use flexible arrays, which
# -Wpedantic refuses in C++.
add_library(peermr_kernel_headers INTERFACE)
target_include_directories(peermr_kernel_headers SYSTEM INTERFACE
  "${PROJECT_SOURCE_DIR}/kernel/include")

# PEERMR_SANITIZE: a list for -fsanitize=, as "address,undefined" or "thread".
set(PEERMR_SANITIZE "" CACHE STRING "Sanitizers to build everything with")
if(PEERMR_SANITIZE)
  add_compile_options(-fsanitize=${PEERMR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PEERMR_SANITIZE})
endif()

# Link privately where fences order what a device, or another process that plays it, sees. Such
# fences are nothing to ThreadSanitizer, which sees this process only; g++ warns of each. Between
# threads of one process the warning stays: there a fence would make it report races that are none.
add_library(peermr_device_fences INTERFACE)
if(PEERMR_SANITIZE MATCHES "thread")
  target_compile_options(peermr_device_fences INTERFACE
    $<$<OR:$<COMPILE_LANG_AND_ID:C,GNU>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-Wno-tsan>)
endif()
