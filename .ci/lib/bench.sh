# `./dev bench`: the same work on AshlarFS and on the kernel's ext4, each on a loop device of its own with direct I/O.
# Numbers for people to look at; nothing here is a test.
# shellcheck shell=bash

BENCH_SECONDS=8
# Fields of fio's terse output, version 3.
FIO_READ_KIB=7 FIO_READ_IOPS=8 FIO_WRITE_KIB=48 FIO_WRITE_IOPS=49

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

# bench_fio FIELD FIO-ARGUMENTS...: one job; prints that field.
bench_fio() {
  local field="$1"
  shift
  fio --minimal --terse-version=3 --name=job --randrepeat=1 --allow_file_create=1 "$@" | cut -d';' -f"$field"
}

# Prints the milliseconds that a command takes.
milliseconds() {
  local began
  began="$(date +%s%N)"
  "$@" >/dev/null
  echo $((($(date +%s%N) - began) / 1000000))
}

copy_and_sync() { cp -a "$1" "$2" && sync -f "$2"; }

# All workloads on one mounted filesystem: lines of "NAME<TAB>UNIT<TAB>VALUE".
bench_mounted() {
  local mount="$1" mib="$2" file="$1/file"
  row() { printf '%s\t%s\t%s\n' "$@"; }
  row "sequential write and fsync" "KiB/s" \
    "$(bench_fio $FIO_WRITE_KIB --filename="$file" --rw=write --bs=1M --size="${mib}M" --end_fsync=1)"
  drop_caches
  row "sequential read, cold" "KiB/s" "$(bench_fio $FIO_READ_KIB --filename="$file" --rw=read --bs=1M --size="${mib}M")"
  row "4 KiB random read, O_DIRECT, depth 16" "IOPS" \
    "$(bench_fio $FIO_READ_IOPS --filename="$file" --rw=randread --bs=4k --size="${mib}M" --direct=1 \
      --ioengine=libaio --iodepth=16 --runtime=$BENCH_SECONDS --time_based)"
  row "4 KiB random write, O_DIRECT, depth 16" "IOPS" \
    "$(bench_fio $FIO_WRITE_IOPS --filename="$file" --rw=randwrite --bs=4k --size="${mib}M" --direct=1 \
      --ioengine=libaio --iodepth=16 --runtime=$BENCH_SECONDS --time_based)"
  row "4 KiB append and fdatasync" "IOPS" \
    "$(bench_fio $FIO_WRITE_IOPS --filename="$mount/appended" --rw=write --bs=4k --size=64M --fdatasync=1 \
      --runtime=$BENCH_SECONDS)"
  row "cp -a /usr/include and sync" "ms" "$(milliseconds copy_and_sync /usr/include "$mount/include")"
  drop_caches
  row "find with attributes, cold" "ms" "$(milliseconds find "$mount/include" -newermt 2000-01-01 -size -1)"
  row "rm -r of it" "ms" "$(milliseconds rm -r "$mount/include")"
}

# bench_filesystem NAME MIB: makes, mounts, measures and unmounts one.
bench_filesystem() {
  local name="$1" mib="$2" dir="$BENCH_DIR/$1" bin="$ROOT/$BUILD_RELEASE/bin" loop
  mkdir -p "$dir/mnt"
  truncate -s $((mib * 3 + 2048))M "$dir/image"
  loop="$(losetup --find --show --direct-io=on "$dir/image")"
  BENCH_LOOPS+=("$loop")
  echo "measuring $name" >&2
  if [ "$name" = ashlarfs ]; then
    if ! { "$bin/mkfs.ashlarfs" -q "$loop" && "$bin/ashlarfs" "$loop" "$dir/mnt"; }; then die "cannot mount it"; fi
  else
    if ! { "mkfs.$name" -q "$loop" && mount -t "$name" "$loop" "$dir/mnt"; }; then die "cannot mount $name"; fi
  fi
  bench_mounted "$dir/mnt" "$mib" >"$BENCH_DIR/$name.tsv"
  umount "$dir/mnt"
}

bench_volume() {
  local mib="${1:-1024}"
  [ "$(id -u)" -eq 0 ] || die "bench needs root, for loop devices"
  install_packages
  build_release "${PROGRAMS[@]/#/bin/}"
  BENCH_DIR="$(mktemp -d "${TMPDIR:-/var/tmp}/ashlar-bench-XXXXXX")"
  trap bench_cleanup EXIT
  bench_filesystem ext4 "$mib"
  bench_filesystem ashlarfs "$mib"
  paste "$BENCH_DIR/ashlarfs.tsv" "$BENCH_DIR/ext4.tsv" | awk -F'\t' '
    BEGIN { printf "\n%-42s %6s %12s %12s %8s\n", "", "", "AshlarFS", "ext4", "ratio" }
    {
      ratio = $2 == "ms" ? $6 / ($3 ? $3 : 1) : $3 / ($6 ? $6 : 1)
      printf "%-42s %6s %12s %12s %8.2f\n", $1, $2, $3, $6, ratio
    }
    END { print "\nratio: speed relative to ext4, more is better" }'
}
