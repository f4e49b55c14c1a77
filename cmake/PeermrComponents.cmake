# SPDX-License-Identifier: BSD-2-Clause
#
# peermr_component(<folder> OPTION <option> [NEEDS <found-variable> <package> ...])
#
# Adds <folder> when its option is on and everything it needs was found. Otherwise says once, at the
# end, what is left out and which Debian package would bring it: a missing library must not stop
# someone who wants only the rest.

include_guard(GLOBAL)

function(peermr_component folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "OPTION" "NEEDS")
  if(NOT ${arg_OPTION})
    set_property(GLOBAL APPEND PROPERTY PEERMR_LEFT_OUT "${folder}: ${arg_OPTION} is OFF")
    return()
  endif()
  set(packages "")
  set(needs ${arg_NEEDS})
  separate_arguments(needs)
  while(needs)
    list(POP_FRONT needs found package)
    if(NOT ${found})
      list(APPEND packages ${package})
    endif()
  endwhile()
  if(packages)
    list(JOIN packages " " packages)
    set_property(GLOBAL APPEND PROPERTY PEERMR_LEFT_OUT "${folder}: apt-get install ${packages}")
    return()
  endif()
  add_subdirectory(${folder})
endfunction()

function(peermr_component_summary)
  get_property(left_out GLOBAL PROPERTY PEERMR_LEFT_OUT)
  foreach(line IN LISTS left_out)
    message(STATUS "peermr: left out: ${line}")
  endforeach()
endfunction()
