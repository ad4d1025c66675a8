# `./dev bench blockio`: the block layer beside fio, on the same file with the same engine and depth. Numbers for people
# to look at; nothing here is a test.
# shellcheck shell=bash

# Each row is this many rounds of both, one after the other, and shows medians: a single round is off by a tenth and more.
BLOCKIO_ROUNDS="${BLOCKIO_ROUNDS:-5}"
BLOCKIO_SECONDS="${BLOCKIO_SECONDS:-2}"
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

# One line for each round: OPS CPU MEAN P99 of ours, then OPS CPU of fio.
blockio_rounds() {
  local file="$1" engine="$2" depth="$3" block="$4" work="$5" round ours
  for ((round = 0; round < BLOCKIO_ROUNDS; ++round)); do
    # A session of its own, as fio gives its jobs: the scheduler shares processors out among sessions.
    ours="$(setsid --wait "$ROOT/$BUILD_RELEASE/bin/bench_blockio" "$file" "$engine" "$depth" "$block" "$work" "$BLOCKIO_SECONDS")"
    echo "$ours $(blockio_fio "$file" "$engine" "$depth" "$block" "$work")"
  done
}

blockio_row() {
  local file="$1" engine="$2" depth="$3" block="$4" work="$5"
  blockio_rounds "$@" | awk -v engine="$engine" -v work="$work" -v block="$block" -v depth="$depth" '
    { ops[NR] = $1; cpu[NR] = $2; p99[NR] = $4; fio_ops[NR] = $5; fio_cpu[NR] = $6; ratio[NR] = $1 / ($5 ? $5 : 1) }
    function median(of, count, i, j, t) {
      for (i = 2; i <= count; ++i)
        for (j = i; j > 1 && of[j - 1] > of[j]; --j) { t = of[j]; of[j] = of[j - 1]; of[j - 1] = t }
      return of[int((count + 1) / 2)]
    }
    END {
      printf "%-9s %-9s %8s %5s %9d %9d %6.2f %8.2f %8.2f %9s\n", engine, work, block, depth, median(ops, NR),
        median(fio_ops, NR), median(ratio, NR), median(cpu, NR), median(fio_cpu, NR), median(p99, NR)
    }'
}

bench_blockio() {
  local mib="${1:-1024}" engine work depth
  install_packages
  build_release bench_blockio
  BENCH_DIR="$(mktemp -d "${TMPDIR:-/var/tmp}/ashlar-bench-XXXXXX")"
  trap bench_cleanup EXIT
  local file="$BENCH_DIR/file"
  # Written once, so that neither meets holes.
  dd if=/dev/urandom of="$file" bs=1M count="$mib" oflag=direct status=none
  printf '%-9s %-9s %8s %5s %9s %9s %6s %8s %8s %9s\n' engine work block depth "ops/s" "fio" ratio "us CPU" "fio" "p99 us"
  for engine in io_uring aio; do
    for work in randread randwrite; do
      for depth in 1 16 64; do blockio_row "$file" "$engine" "$depth" 4096 "$work"; done
    done
    for work in read write; do blockio_row "$file" "$engine" 16 1048576 "$work"; done
  done
}
