#!/usr/bin/env bash
# overlayfs with the volume as upper and work directory: the kernel's, and fuse-overlayfs.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
trap 'umount "$VOLUME"/*/merged 2>/dev/null || true' EXIT

# use KIND MOUNT-COMMAND...: the layers are made anew, merged, changed, and looked at again after another mount.
use() {
  local kind="$1"
  shift
  rm -rf "$OUTSIDE/lower"
  mkdir -p "$OUTSIDE/lower/dir/deep" "$VOLUME/$kind/upper" "$VOLUME/$kind/work" "$VOLUME/$kind/merged"
  cd "$VOLUME/$kind"
  echo low >"$OUTSIDE/lower/file"
  echo low >"$OUTSIDE/lower/gone"
  echo low >"$OUTSIDE/lower/dir/inner"
  echo low >"$OUTSIDE/lower/dir/deep/bottom"
  setfattr -n user.kept -v yes "$OUTSIDE/lower/file"
  chown 1234:1234 "$OUTSIDE/lower/file"
  "$@"
  echo more >>merged/file # copied up
  equal "$kind: attributes copied up" "$(getfattr --only-values -n user.kept upper/file) $(stat -c %u upper/file)" "yes 1234"
  rm merged/gone # a whiteout
  mv merged/dir/deep merged/moved
  rm -r merged/dir
  mkdir merged/dir # opaque
  echo new >merged/dir/new
  mkdir merged/many
  for i in $(seq 1 200); do echo "$i" >"merged/many/$i"; done
  (cd merged/many && git init -q . && git add . && git -c user.name=a -c user.email=a@b commit -q -m all && git fsck --full --no-progress)
  rename_all merged/many
  umount merged
  "$@"
  equal "$kind: the file" "$(tr '\n' ' ' <merged/file)" "low more "
  equal "$kind: the names" "$(cd merged && find . -path ./many -prune -o -print | sort | tr '\n' ' ')" \
    ". ./dir ./dir/new ./file ./moved ./moved/bottom "
  equal "$kind: many" "$(find merged/many -name '*.new' | wc -l)" 200
  equal "$kind: below it nothing changed" "$(cat "$OUTSIDE/lower/file" "$OUTSIDE/lower/gone" "$OUTSIDE/lower/dir/inner" | tr '\n' ' ')" \
    "low low low "
  umount merged
}
rename_all() {
  local file
  for file in "$1"/*; do mv "$file" "$file.new"; done
}

layers() { echo "lowerdir=$OUTSIDE/lower,upperdir=$VOLUME/$1/upper,workdir=$VOLUME/$1/work"; }
kernel() { mount -t overlay overlay -o "$(layers kernel)" "$VOLUME/kernel/merged"; }
# What the upper filesystem cannot carry the kernel leaves out, and only its log says so. It tells the options that are
# not as its parameters have them.
strict() {
  local name used
  mount -t overlay overlay -o "index=on,redirect_dir=on,metacopy=on,$(layers strict)" "$VOLUME/strict/merged"
  used=",$(findmnt -no OPTIONS "$VOLUME/strict/merged"),"
  for name in index redirect_dir metacopy; do
    [[ "$used" == *",$name=on,"* ]] ||
      [[ "$used" != *",$name="* && "$(cat "/sys/module/overlay/parameters/$name")" == Y ]] ||
      die "the kernel mounts without $name: $used"
  done
}
daemon() { fuse-overlayfs -o "$(layers daemon)" "$VOLUME/daemon/merged" 2>/dev/null; }
use kernel kernel
use strict strict
use daemon daemon
