# `./dev fuzz [SECONDS [TARGET...]]`: the libFuzzer programs of tests/fuzz under ASan and UBSan, one after the other.
# shellcheck shell=bash

BUILD_FUZZ=build-fuzz
FUZZ_TARGETS=(superblock node log image)
FUZZ_SECONDS=300
FUZZ_RSS_MIB=4096
# Eight changes of some ten edits each.
FUZZ_IMAGE_BYTES=400

# They begin with tests/fuzz/corpus/TARGET. Corpora grow in build-fuzz/corpus/TARGET from run to run; what crashes is kept as build-fuzz/crashes/TARGET-*.
fuzz_volume() {
  local seconds="${1:-$FUZZ_SECONDS}" target targets corpus program options
  [ $# -eq 0 ] || shift
  targets=("${@:-${FUZZ_TARGETS[@]}}")
  install_packages
  headline "Building the fuzz targets"
  build_tree "$BUILD_FUZZ" "${targets[*]/#/fuzz_}" "${SANITIZE_FLAGS[@]}" -DASHLAR_FUZZ=ON \
    -DASHLAR_SANITIZE=address,undefined,fuzzer-no-link
  mkdir -p "$BUILD_FUZZ/crashes"
  for target in "${targets[@]}"; do
    headline "Fuzzing $target for $seconds seconds"
    corpus="$BUILD_FUZZ/corpus/$target"
    program="$BUILD_FUZZ/bin/fuzz_$target"
    mkdir -p "$corpus"
    options=()
    # A volume is repaired and mounted so seldom that inputs would stay short for hours if they had to grow slowly.
    [ "$target" != image ] || options=(-len_control=0 -max_len="$FUZZ_IMAGE_BYTES")
    "${FIXED_ADDRESSES[@]}" "$program" -seeds="$corpus"
    "${FIXED_ADDRESSES[@]}" "$program" -max_total_time="$seconds" -rss_limit_mb="$FUZZ_RSS_MIB" -timeout=60 \
      "${options[@]}" -print_final_stats=1 -artifact_prefix="$BUILD_FUZZ/crashes/$target-" "$corpus" "tests/fuzz/corpus/$target"
  done
}
