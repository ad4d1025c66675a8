# `./dev run [DIR]`: from nothing to a mounted volume.
# shellcheck shell=bash

RUN_IMAGE="${ASHLAR_IMAGE:-$ROOT/build/ashlarfs.img}"
RUN_IMAGE_SIZE=4G
PROGRAMS=(ashlarfs mkfs.ashlarfs fsck.ashlarfs ashlarctl)

# Makes the image unless there is one; what is in it stays.
prepare_image() {
  local bin="$1"
  if [ -e "$RUN_IMAGE" ]; then
    echo "Using the existing image $RUN_IMAGE"
    return
  fi
  headline "Formatting a sparse image of $RUN_IMAGE_SIZE"
  mkdir -p "$(dirname "$RUN_IMAGE")"
  truncate -s "$RUN_IMAGE_SIZE" "$RUN_IMAGE"
  if ! "$bin/mkfs.ashlarfs" "$RUN_IMAGE"; then
    rm -f "$RUN_IMAGE"
    die "mkfs.ashlarfs failed"
  fi
}

# "NAME: WHY (FLAGS)", as the daemon tells in its status, which is JSON.
engine_of() {
  local status
  status="$(getfattr --absolute-names --only-values -n user.ashlarfs.status "$1")" || return 0
  sed -n 's/.*"io_engine":{[^}]*"flags":"\([^"]*\)","name":"\([^"]*\)","reason":"\([^"]*\)".*/\2: \3 (\1)/p' <<<"$status" |
    sed 's/ ()$//'
}

describe_mount() {
  local bin="$1" dir="$2"
  echo
  echo "AshlarFS is mounted:"
  echo "  at        $dir"
  echo "  volume    $(findmnt -n -o SOURCE --mountpoint "$dir")"
  echo "  engine    $(engine_of "$dir")"
  echo "  unmount   umount $dir"
  echo "  check     $bin/fsck.ashlarfs -n -f $RUN_IMAGE    (once unmounted)"
}

run_volume() {
  local dir="${1:-$ROOT/build/mnt}" bin="$ROOT/$BUILD_RELEASE/bin"
  [ $# -le 1 ] || die "run takes at most one directory"
  if mountpoint -q -- "$dir"; then
    [[ "$(findmnt -n -o FSTYPE --mountpoint "$dir")" == fuse*.ashlarfs ]] || die "$dir is a mount point of something else"
    echo "Already mounted."
    describe_mount "$bin" "$dir"
    return
  fi
  install_packages
  headline "Building"
  build_release "${PROGRAMS[@]/#/bin/}"
  [ -e /dev/fuse ] || as_root modprobe fuse || die "this kernel has no FUSE (/dev/fuse is missing)"
  prepare_image "$bin"
  mkdir -p "$dir"
  "$bin/ashlarfs" "$RUN_IMAGE" "$dir" || die "mounting $RUN_IMAGE at $dir failed"
  describe_mount "$bin" "$dir"
}
