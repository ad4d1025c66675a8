#!/usr/bin/env bash
# A small C++ project, made here, configured, built and tested in the volume. self_build.sh has a real one.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
mkdir small
cat >small/CMakeLists.txt <<'TEXT'
cmake_minimum_required(VERSION 3.25)
project(Small LANGUAGES CXX)
enable_testing()
set(sources)
foreach(i RANGE 1 12)
  file(WRITE ${CMAKE_BINARY_DIR}/part${i}.cc "int part${i}(int x) { return x + ${i}; }\n")
  list(APPEND sources ${CMAKE_BINARY_DIR}/part${i}.cc)
endforeach()
add_library(parts SHARED ${sources})
add_executable(small main.cc)
target_link_libraries(small PRIVATE parts)
add_test(NAME small COMMAND small)
TEXT
cat >small/main.cc <<'TEXT'
int part1(int), part12(int);
int main() { return part1(part12(0)) == 13 ? 0 : 1; }
TEXT
cmake -G Ninja -S small -B small/build >small.log
CCACHE_DISABLE=1 ninja -C small/build >>small.log
ctest --test-dir small/build --output-on-failure >>small.log
equal "a second build" "$(ninja -C small/build | tail -n 1)" "ninja: no work to do."
