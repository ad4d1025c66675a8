# The stages of `./dev test` and their tally.
# shellcheck shell=bash

PASSED=0
FAILED=0
SKIPPED=0
STAGE_TIMES=()
KEPT_OUTPUT=4096 # bytes of a test that passed, in the JUnit report

export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1"

# check TITLE COMMAND...: one stage that passes or fails as a whole, and counts as one test.
check() {
  local title="$1" began=$SECONDS
  shift
  headline "$title"
  if "$@"; then
    PASSED=$((PASSED + 1))
  else
    FAILED=$((FAILED + 1))
    echo "FAILED: $title" >&2
  fi
  STAGE_TIMES+=("$(printf '%6d s  %s' $((SECONDS - began)) "$title")")
}

# The value of a count in the head of a JUnit report.
junit_count() { grep -o -m1 "[[:space:]]$2=\"[0-9]*\"" "$1" | head -n1 | tr -dc '0-9'; }

# The sum of what the crash tests say in a report that they checked; nothing if there are none in it.
crash_tally() {
  { grep -o 'Crash states checked: [0-9]* states, [0-9]* images' "$1" || true; } |
    awk '{ states += $4; images += $6 } END { if (NR) printf "crash states checked: %d, on %d images\n", states, images }'
}

# run_tests TITLE DIR LABEL CTEST-ARGUMENTS...: the tests of a build that carry the label.
run_tests() {
  local title="$1" dir="$2" label="$3" began=$SECONDS exit_status=0 tests=0 failures=0 skipped=0
  shift 3
  headline "$title"
  local report="$ROOT/$dir/junit-$label.xml" tally=""
  rm -f "$report"
  "${FIXED_ADDRESSES[@]}" ctest --test-dir "$dir" -L "(^|-)$label(-|\$)" -j "$JOBS" --output-on-failure --no-tests=error \
    --test-output-size-passed "$KEPT_OUTPUT" --output-junit "$report" "$@" || exit_status=$?
  if [ -f "$report" ]; then
    tests="$(junit_count "$report" tests)"
    failures="$(junit_count "$report" failures)"
    skipped=$(($(junit_count "$report" skipped) + $(junit_count "$report" disabled)))
  fi
  # A test that could not even start is not among the report's failures.
  [ "$exit_status" -eq 0 ] || [ "$failures" -gt 0 ] || failures=1
  [ "$tests" -ge $((failures + skipped)) ] || tests=$((failures + skipped))
  PASSED=$((PASSED + tests - failures - skipped))
  FAILED=$((FAILED + failures))
  SKIPPED=$((SKIPPED + skipped))
  [ ! -f "$report" ] || tally="$(crash_tally "$report")"
  STAGE_TIMES+=("$(printf '%6d s  %s' $((SECONDS - began)) "$title${tally:+ ($tally)}")")
}

# Prints the tally; fails if a test failed, or in CI if one was skipped.
finish() {
  headline "Stages"
  printf '%s\n' "${STAGE_TIMES[@]}"
  local verdict=0
  [ "$FAILED" -eq 0 ] || verdict=1
  if [ "$SKIPPED" -gt 0 ] && [ "${CI:-}" = true ]; then
    echo "skipped tests count as failures under CI=true"
    verdict=1
  fi
  printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
  return "$verdict"
}

run_lint() {
  check "Lint: clang-format" lint_format
  check "Lint: shellcheck" lint_shell
  check "Lint: clang-tidy on the programs" lint_programs
}

run_sanitizers() {
  check "Build: clang with ASan and UBSan" build_asan tests_unit
  run_tests "Unit tests under ASan and UBSan" "$BUILD_ASAN" unit
  check "Build: clang with TSan" build_tsan tests_threaded
  run_tests "Threaded tests under TSan" "$BUILD_TSAN" threaded
}

test_everything() {
  install_packages
  check "Build: g++" build_release all
  run_tests "Unit tests" "$BUILD_RELEASE" unit
  run_lint
  check "Lint: clang's warnings on mount tests" lint_warnings
  run_sanitizers
  run_tests "Mount tests" "$BUILD_RELEASE" mount
  finish
}

test_quick() {
  install_packages
  check "Build: g++" build_release tests_unit
  run_tests "Unit tests" "$BUILD_RELEASE" unit
  finish
}

# run_sharded PROGRAM: its tests shared out to as many processes as JOBS says.
run_sharded() {
  local program="$1" log shard pid failures=0 pids=()
  log="$ROOT/$BUILD_RELEASE/long-${program##*/}.log"
  : >"$log"
  for ((shard = 0; shard < JOBS; shard++)); do
    GTEST_TOTAL_SHARDS="$JOBS" GTEST_SHARD_INDEX="$shard" "$program" 2>&1 | sed -u "s/^/$shard: /" | tee -a "$log" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failures=$((failures + 1)); done
  crash_tally "$log"
  [ "$failures" -eq 0 ]
}

# The programs themselves, without the time limits of ctest. What is set already stays.
test_long() {
  export ASHLAR_CRASH_SCALE="${ASHLAR_CRASH_SCALE:-100}" ASHLAR_SCALE="${ASHLAR_SCALE:-1000000}"
  export ASHLAR_MODEL_SEQUENCES="${ASHLAR_MODEL_SEQUENCES:-30000}" ASHLAR_INTEGRITY_STEPS="${ASHLAR_INTEGRITY_STEPS:-30000}"
  export ASHLAR_PRECEDENCE_ALL=1 ASHLAR_PROGRAMS_SCALE="${ASHLAR_PROGRAMS_SCALE:-10}" ASHLAR_SELF_BUILD="${ASHLAR_SELF_BUILD:-complete}"
  install_packages
  local program
  local sharded=(crash_test crash_teeth_test) crash=(crash_threads_test crash_kill_test mount_power_cut_test)
  local posix=(posix_scale_test posix_test posix_rings_test programs_test)
  check "Build: g++" build_release "${sharded[*]} ${crash[*]} ${posix[*]} fsck_test ashlarfs mkfs.ashlarfs fsck.ashlarfs"
  for program in "${sharded[@]}"; do
    check "Crash tests, scale $ASHLAR_CRASH_SCALE: $program" run_sharded "$BUILD_RELEASE/bin/$program"
  done
  for program in "${crash[@]}"; do
    check "Crash tests, scale $ASHLAR_CRASH_SCALE: $program" "$BUILD_RELEASE/bin/$program"
  done
  for program in "${posix[@]}"; do
    check "Long run of $program" "$BUILD_RELEASE/bin/$program"
  done
  check "Every piece of a volume damaged in turn" \
    env ASHLAR_DAMAGE_ALL=1 "$BUILD_RELEASE/bin/fsck_test" --gtest_filter='*Systematic*'
  finish
}

test_sanitized() {
  install_packages
  run_sanitizers
  finish
}

lint_everything() {
  install_packages
  # clang-tidy takes from the build what each source includes.
  check "Build: g++" build_release all
  run_lint
  check "Lint: clang-tidy on the tests" lint_tests
  run_tests "Layering" "$BUILD_RELEASE" layering
  finish
}
