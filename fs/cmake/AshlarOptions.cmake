# Compiler settings shared by every target.
option(ASHLAR_WERROR "Warnings are errors" OFF)
set(ASHLAR_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")

add_library(ashlar_options INTERFACE)
target_include_directories(ashlar_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(ashlar_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -fno-strict-aliasing
                                               $<$<CXX_COMPILER_ID:Clang>:-Wreserved-identifier>)
target_compile_definitions(ashlar_options INTERFACE FUSE_USE_VERSION=314 _FILE_OFFSET_BITS=64)
if(ASHLAR_WERROR)
  target_compile_options(ashlar_options INTERFACE -Werror)
endif()
if(ASHLAR_SANITIZE)
  target_compile_options(ashlar_options INTERFACE -fsanitize=${ASHLAR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(ashlar_options INTERFACE -fsanitize=${ASHLAR_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
