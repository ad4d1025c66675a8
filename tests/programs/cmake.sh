#!/usr/bin/env bash
# A C++ project configured, built and tested in the volume: a small one made here. With ASHLAR_SELF_BUILD=SOURCE_DIR this
# very project as well, with its unit tests (many minutes).
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

[ -n "${ASHLAR_SELF_BUILD:-}" ] || exit 0
mkdir self
git -C "$ASHLAR_SELF_BUILD" archive HEAD | tar -x -C self
export CCACHE_BASEDIR="$VOLUME/self" CCACHE_NOHASHDIR=1
cmake -G Ninja -S self -B self/build -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo -DASHLAR_WERROR=ON
ninja -C self/build -j2
TMPDIR="$VOLUME/self" ctest --test-dir self/build -L '(^|-)unit(-|$)' -j2 --output-on-failure
