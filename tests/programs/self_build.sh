#!/usr/bin/env bash
# This very project, configured, built and tested in the volume: some targets, or with ASHLAR_SELF_BUILD=complete all of
# them and all tests that need no mount.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
SOURCES="$(realpath "$(dirname "$0")/../..")"
SOME=(base_test format_test)
mkdir "$VOLUME/self"
cd "$VOLUME/self"
# What is compiled, also where it comes without its repository.
tar -C "$SOURCES" -c CMakeLists.txt fs blockio mkfs fsck tests docs | tar -x
for folder in fs blockio mkfs fsck tests docs; do
  silent "diff of $folder" diff -r "$SOURCES/$folder" "$folder"
done

# The places differ from run to run.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
# As .ci/lib/build.sh has it.
cmake -G Ninja -S . -B build -DASHLAR_WERROR=ON -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG" >configure.log || die "$(cat configure.log)"
export TMPDIR="$PWD/temporary"
mkdir "$TMPDIR"
if [ "${ASHLAR_SELF_BUILD:-}" = complete ]; then
  ninja -C build -j "$(nproc)" --quiet
  ctest --test-dir build -L '(^|-)unit(-|$)' -j "$(nproc)" --output-on-failure --no-tests=error
  equal "a second build" "$(ninja -C build | tail -n 1)" "ninja: no work to do."
else
  ninja -C build -j "$(nproc)" --quiet "${SOME[@]}"
  for test in "${SOME[@]}"; do
    "build/bin/$test" --gtest_brief=1 || die "$test failed"
  done
  equal "a second build" "$(ninja -C build "${SOME[@]}" | tail -n 1)" "ninja: no work to do."
fi
