# `./dev bench blockio`: the block layer beside fio, on the same file with the same engine and depth. Numbers for people
# to look at; nothing here is a test.
# shellcheck shell=bash

BLOCKIO_SECONDS="${BLOCKIO_SECONDS:-5}"
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

blockio_row() {
  local file="$1" engine="$2" depth="$3" block="$4" work="$5" ours theirs
  theirs="$(blockio_fio "$file" "$engine" "$depth" "$block" "$work")"
  # A session of its own, as fio gives its jobs: the scheduler shares processors out among sessions.
  ours="$(setsid --wait "$ROOT/$BUILD_RELEASE/bin/bench_blockio" "$file" "$engine" "$depth" "$block" "$work" "$BLOCKIO_SECONDS")"
  awk -v engine="$engine" -v work="$work" -v block="$block" -v depth="$depth" -v ours="$ours" -v theirs="$theirs" 'BEGIN {
    split(ours, o)
    split(theirs, t)
    printf "%-9s %-9s %8s %5s %9s %9s %6.2f %8s %8s %9s\n", engine, work, block, depth, o[1], t[1],
      o[1] / (t[1] ? t[1] : 1), o[2], t[2], o[4]
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
