# `./dev bench blockio`: the block layer beside fio, on the same file with the same engine and depth. Numbers for people
# to look at; nothing here is a test.
# shellcheck shell=bash

# Each row is this many rounds of both, one after the other, and shows medians: a single round is off by a tenth and more.
BLOCKIO_ROUNDS="${BLOCKIO_ROUNDS:-5}"
BLOCKIO_SECONDS="${BLOCKIO_SECONDS:-2}"
BLOCKIO_TARGET=0.97  # of fio's rate
# Fields of fio's terse output, version 3, besides those of bench.sh.
FIO_USER_CPU=88 FIO_SYSTEM_CPU=89

# Prints "IOPS MICROSECONDS-OF-PROCESSOR-PER-OPERATION" of fio.
blockio_fio() {
  local file="$1" engine="$2" depth="$3" block="$4" work="$5" field=$FIO_READ_IOPS
  case "$work" in *write) field=$FIO_WRITE_IOPS ;; esac
  local options=(--ioengine=libaio)
  [ "$engine" = aio ] || options=(--ioengine=io_uring --registerfiles=1)
  fio --minimal --terse-version=3 --name=job --filename="$file" --direct=1 --rw="$work" --bs="$block" \
    --iodepth="$depth" --time_based --runtime="$BLOCKIO_SECONDS" --norandommap --randrepeat=1 "${options[@]}" |
    awk -F';' -v iops="$field" -v user=$FIO_USER_CPU -v system_=$FIO_SYSTEM_CPU '
      { printf "%.0f %.2f\n", $iops, ($user + $system_) / 100 * 1e6 / ($iops ? $iops : 1) }'
}

# A session of its own, as fio gives its jobs: the scheduler shares processors out among sessions.
blockio_ours() {
  setsid --wait "$ROOT/$BUILD_RELEASE/bin/bench_blockio" "$@" "$BLOCKIO_SECONDS"
}

# What fio is compared with: us, or fio itself (BLOCKIO_SUBJECT=fio), which shows how far apart two equal ones come out.
blockio_subject() {
  if [ "${BLOCKIO_SUBJECT:-ours}" = fio ]; then
    echo "$(blockio_fio "$@") 0 0"
  else
    blockio_ours "$@"
  fi
}

# One line for each round: OPS CPU MEAN P99 of ours, then OPS CPU of fio. Each begins every other round: the second may
# find what the first left in the caches of whoever provides the device.
blockio_rounds() {
  local round ours theirs
  for ((round = 0; round < BLOCKIO_ROUNDS; ++round)); do
    [ $((round % 2)) -eq 0 ] || theirs="$(blockio_fio "$@")"
    ours="$(blockio_subject "$@")"
    [ $((round % 2)) -ne 0 ] || theirs="$(blockio_fio "$@")"
    echo "$ours $theirs"
  done
}

blockio_row() {
  local file="$1" engine="$2" depth="$3" block="$4" work="$5"
  blockio_rounds "$@" | awk -v engine="$engine" -v work="$work" -v block="$block" -v depth="$depth" \
    -v least="$BLOCKIO_TARGET" '
    { ops[NR] = $1; cpu[NR] = $2; p99[NR] = $4; fio_ops[NR] = $5; fio_cpu[NR] = $6; ratio[NR] = $1 / ($5 ? $5 : 1) }
    function median(of, count, i, j, t) {
      for (i = 2; i <= count; ++i)
        for (j = i; j > 1 && of[j - 1] > of[j]; --j) { t = of[j]; of[j] = of[j - 1]; of[j - 1] = t }
      return (of[int((count + 1) / 2)] + of[int((count + 2) / 2)]) / 2
    }
    END {
      below = median(ratio, NR) < least ? " slower" : ""
      if (median(cpu, NR) > median(fio_cpu, NR)) below = below " more-CPU"
      printf "%-9s %-9s %8s %5s %9d %9d %6.2f %8.2f %8.2f %9s%s\n", engine, work, block, depth, median(ops, NR),
        median(fio_ops, NR), median(ratio, NR), median(cpu, NR), median(fio_cpu, NR), median(p99, NR), below
    }'
}

# A file of so many MiB that is gone afterwards, written once so that nobody meets holes; its path is in BLOCKIO_FILE.
blockio_file() {
  install_packages
  build_release bench_blockio
  BENCH_DIR="$(mktemp -d "${TMPDIR:-/var/tmp}/ashlar-bench-XXXXXX")"
  trap bench_cleanup EXIT
  BLOCKIO_FILE="$BENCH_DIR/file"
  dd if=/dev/urandom of="$BLOCKIO_FILE" bs=1M count="$1" oflag=direct status=none
}

# What each option buys: the configuration with all of them (and a registered pool), and with one changed, by turns.
# Rounds of all, one after the other, and medians; the ratios are to "defaults" in the same round. What cannot be had here
# says so.
bench_blockio_flags() {
  local mib="${1:-1024}" depth="${2:-16}" engine work round variant figures variants
  blockio_file "$mib"
  local program="$ROOT/$BUILD_RELEASE/bin/bench_blockio"
  mapfile -t variants < <("$program" variants)
  printf '%-9s %-9s %5s %-18s %9s %6s %8s %6s\n' engine work depth variant "ops/s" ratio "us CPU" ratio
  for engine in io_uring aio; do
    # The others are flags of a ring.
    [ "$engine" = io_uring ] || variants=(defaults no-send_early merge wakeable)
    for work in randread randwrite; do
      for ((round = 0; round < BLOCKIO_ROUNDS; ++round)); do
        for variant in "${variants[@]}"; do
          figures="$(setsid --wait "$program" "$BLOCKIO_FILE" "$engine" "$depth" 4096 "$work" "$BLOCKIO_SECONDS" \
            "$variant" 2>/dev/null)" || figures="- - - -"
          echo "$round $variant $figures"
        done
      done | awk -v engine="$engine" -v work="$work" -v depth="$depth" '
        function median(of, key, count, i, j, t, all) {
          for (i = 1; i <= count; ++i) all[i] = of[key, i]
          for (i = 2; i <= count; ++i)
            for (j = i; j > 1 && all[j - 1] > all[j]; --j) { t = all[j]; all[j] = all[j - 1]; all[j - 1] = t }
          return (all[int((count + 1) / 2)] + all[int((count + 2) / 2)]) / 2
        }
        !($2 in times) { order[++names] = $2; times[$2] = 0 }
        $3 == "-" { next }
        {
          if ($2 == "defaults") { base_ops = $3; base_cpu = $4 }
          n = ++times[$2]
          ops[$2, n] = $3 + 0; cpu[$2, n] = $4 + 0; ops_ratio[$2, n] = $3 / base_ops; cpu_ratio[$2, n] = $4 / base_cpu
        }
        END {
          for (i = 1; i <= names; ++i) {
            v = order[i]
            if (times[v] == 0) { printf "%-9s %-9s %5s %-18s %s\n", engine, work, depth, v, "cannot be had here"; continue }
            printf "%-9s %-9s %5s %-18s %9d %6.2f %8.2f %6.2f\n", engine, work, depth, v, median(ops, v, times[v]),
              median(ops_ratio, v, times[v]), median(cpu, v, times[v]), median(cpu_ratio, v, times[v])
          }
        }'
    done
  done
}

# Rows below the target, 0.97 of fio and no more processor time, say so at their end.
bench_blockio() {
  if [ "${1:-}" = flags ]; then
    shift
    bench_blockio_flags "$@"
    return
  fi
  local mib="${1:-1024}" engine work depth
  blockio_file "$mib"
  printf '%-9s %-9s %8s %5s %9s %9s %6s %8s %8s %9s\n' engine work block depth "ops/s" "fio" ratio "us CPU" "fio" "p99 us"
  for engine in io_uring aio; do
    for work in randread randwrite; do
      for depth in 1 16 64; do blockio_row "$BLOCKIO_FILE" "$engine" "$depth" 4096 "$work"; done
    done
    for work in read write; do blockio_row "$BLOCKIO_FILE" "$engine" 16 1048576 "$work"; done
  done
  echo "fio beside itself, for the noise:"
  for engine in io_uring aio; do
    for depth in 1 16; do BLOCKIO_SUBJECT=fio blockio_row "$BLOCKIO_FILE" "$engine" "$depth" 4096 randread; done
  done
}
