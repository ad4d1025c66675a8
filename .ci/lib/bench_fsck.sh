# `./dev bench fsck [FILES [FILESYSTEM...]]`: the same files on AshlarFS, ext4 and XFS, each checked by its own checker that
# changes nothing: seconds and peak memory beside each other. Numbers for people to look at; nothing here is a test.
# shellcheck shell=bash

BENCH_FSCK_FILES=1000000
BENCH_FSCK_ROUNDS=3
# An image has room for more than the files need; it is sparse.
BENCH_FSCK_BYTES_PER_FILE=20000
BENCH_FSCK_LEAST_MIB=1024

# The checker of a volume on a loop device, forced and read-only.
fsck_command() {
  case "$1" in
    ashlarfs) echo "$ROOT/$BUILD_RELEASE/bin/fsck.ashlarfs -f -n" ;;
    ext4) echo "e2fsck -f -n" ;;
    xfs) echo "xfs_repair -n" ;;
  esac
}

# fsck_populate NAME LOOP DIR FILES: makes the filesystem and its files through its own mount.
fsck_populate() {
  local name="$1" loop="$2" mount="$3" files="$4" bin="$ROOT/$BUILD_RELEASE/bin"
  case "$name" in
    ashlarfs) "$bin/mkfs.ashlarfs" -q "$loop" && "$bin/ashlarfs" "$loop" "$mount" ;;
    # As many inodes as mkfs makes for a volume of this size might be too few.
    ext4) mkfs.ext4 -q -N $((files + files / 10 + 1000)) "$loop" && mount -t ext4 "$loop" "$mount" ;;
    xfs) mkfs.xfs -q "$loop" && mount -t xfs "$loop" "$mount" ;;
  esac || die "cannot make or mount $name"
  "$bin/many_files" "$mount" "$files"
  umount "$mount"
}

# fsck_measure NAME LOOP: lines of "SECONDS<TAB>PEAK KIB", one a round, caches dropped before each.
fsck_measure() {
  local name="$1" loop="$2" round command
  read -ra command <<<"$(fsck_command "$name")"
  for ((round = 0; round < BENCH_FSCK_ROUNDS; ++round)); do
    drop_caches
    command time --format='%e\t%M' --output="$BENCH_DIR/time" "${command[@]}" "$loop" >"$BENCH_DIR/$name.log" 2>&1 ||
      die "${command[0]} found something: $(cat "$BENCH_DIR/$name.log")"
    cat "$BENCH_DIR/time"
  done
}

bench_fsck() {
  local files="${1:-$BENCH_FSCK_FILES}" name loop mib
  [ $# -eq 0 ] || shift
  local filesystems=("${@:-ashlarfs}")
  [ $# -gt 0 ] || filesystems=(ashlarfs ext4 xfs)
  [ "$(id -u)" -eq 0 ] || die "bench fsck needs root, for loop devices"
  install_packages
  install_packages xfsprogs time
  build_release "${PROGRAMS[*]/#/bin/} many_files"
  BENCH_DIR="$(mktemp -d "${TMPDIR:-/var/tmp}/ashlar-bench-XXXXXX")"
  trap bench_cleanup EXIT
  mib=$((files * BENCH_FSCK_BYTES_PER_FILE / 1048576 + BENCH_FSCK_LEAST_MIB))
  for name in "${filesystems[@]}"; do
    mkdir -p "$BENCH_DIR/$name/mnt"
    truncate -s "${mib}M" "$BENCH_DIR/$name/image"
    loop="$(losetup --find --show --direct-io=on "$BENCH_DIR/$name/image")"
    BENCH_LOOPS+=("$loop")
    echo "making $files files on $name" >&2
    fsck_populate "$name" "$loop" "$BENCH_DIR/$name/mnt" "$files"
    fsck_measure "$name" "$loop" >"$BENCH_DIR/$name.tsv"
    losetup --detach "$loop"
    BENCH_LOOPS=()
    rm "$BENCH_DIR/$name/image"
  done
  printf '\n%-10s %12s %12s %14s   (%s files; best, worst of %d rounds)\n' "" "best s" "worst s" "peak MiB" \
    "$files" "$BENCH_FSCK_ROUNDS"
  for name in "${filesystems[@]}"; do
    awk -F'\t' -v name="$name" '
      { if (NR == 1 || $1 < best) best = $1; if ($1 > worst) worst = $1; if ($2 > peak) peak = $2 }
      END { printf "%-10s %12.2f %12.2f %14.1f\n", name, best, worst, peak / 1024 }' "$BENCH_DIR/$name.tsv"
  done
}
