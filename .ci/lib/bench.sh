# `./dev bench`: AshlarFS beside other filesystems on one loop device with direct I/O; tests/bench/harness does the work.
# Numbers for people to look at; nothing here is a test.
# shellcheck shell=bash

# Only for this: what AshlarFS is compared with, and what is run on it.
BENCH_PACKAGES=(python3 xfsprogs btrfs-progs ntfs-3g fuse2fs dbench sqlite3 fio)
BENCH_PROGRAMS=(small_files aging null_fuse)

# Of ./dev bench blockio and fsck, which each work in a folder of their own.
BENCH_DIR=
BENCH_LOOPS=()

bench_cleanup() {
  local mount loop
  for mount in "$BENCH_DIR"/*/mnt; do
    if mountpoint -q "$mount"; then umount "$mount" || umount --lazy "$mount"; fi
  done
  for loop in "${BENCH_LOOPS[@]}"; do losetup --detach "$loop"; done
  rm -rf "$BENCH_DIR"
}

drop_caches() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# Fields of fio's terse output, version 3.
export FIO_READ_IOPS=8 FIO_WRITE_IOPS=49

bench_volume() {
  case " $* " in *" --help "* | *" -h "*) ;; *)
    [ "$(id -u)" -eq 0 ] || die "bench needs root, for loop devices"
    install_packages
    install_packages "${BENCH_PACKAGES[@]}"
    build_release "${PROGRAMS[@]/#/bin/}" "${BENCH_PROGRAMS[@]/#/bin/}"
    ;;
  esac
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$ROOT/tests/bench" \
    python3 -m harness --programs "$ROOT/$BUILD_RELEASE/bin" "$@"
}
