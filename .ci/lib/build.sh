# The three builds. Each configures on first use and is incremental after that.
# shellcheck shell=bash

BUILD_RELEASE=build
BUILD_ASAN=build-asan
BUILD_TSAN=build-tsan

# build_tree DIR "TARGET..." CMAKE-ARGUMENTS...: configures DIR and builds the targets there, warnings being errors.
build_tree() {
  local dir="$1" targets="$2"
  shift 2
  mkdir -p "$dir"
  if ! cmake -G Ninja -S . -B "$dir" -DASHLAR_WERROR=ON "$@" >"$dir/configure.log" 2>&1; then
    cat "$dir/configure.log" >&2
    return 1
  fi
  # Linking a test runs it once to list its cases, so sanitized builds need the prefix as well.
  # shellcheck disable=SC2086  # the targets are separate words
  "${FIXED_ADDRESSES[@]}" ninja -C "$dir" -j "$JOBS" --quiet $targets
}

# g++, optimised, with line numbers (all debug information takes a quarter more time to build): what people run.
# Takes the targets as arguments.
build_release() {
  build_tree "$BUILD_RELEASE" "$*" -DCMAKE_CXX_COMPILER=g++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG"
}

# Eight sources in one: half the time. A name that two of them have is an error here; it wants one place or two names.
SANITIZE_FLAGS=(-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Sanitize
  "-DCMAKE_CXX_FLAGS_SANITIZE=-O1 -gline-tables-only" -DCMAKE_UNITY_BUILD=ON)

# By clang. What does not run under AddressSanitizer and UBSan, clang sees in the lint stages.
build_asan() { build_tree "$BUILD_ASAN" "$1" "${SANITIZE_FLAGS[@]}" -DASHLAR_SANITIZE=address,undefined; }

build_tsan() { build_tree "$BUILD_TSAN" "$1" "${SANITIZE_FLAGS[@]}" -DASHLAR_SANITIZE=thread; }
