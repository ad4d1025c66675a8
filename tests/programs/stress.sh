#!/usr/bin/env bash
# stress-ng's stressors of filesystems, each checking what it reads.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
# All of its class but those that are about something else (binderfs, procfs, eventfd, dup, ioprio, bind mounts) or
# need what the kernel gives to no FUSE filesystem (fiemap, verity). `io` calls syncfs on all mounts of the machine.
STRESSORS=(access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify fallocate fanotify fcntl
  file-ioctl filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify iomix lease link locka lockf
  lockofd mknod open rename symlink sync-file touch utime xattr)
# So that CI need not wait for each in turn.
AT_ONCE=5
mkdir "$VOLUME/stress"
cd "$VOLUME/stress"
arguments=()
run_batch() {
  stress-ng "${arguments[@]}" --timeout $((2 * SCALE)) --verify --temp-path "$VOLUME/stress" --hdd-bytes 32M \
    --fallocate-bytes 32M --iomix-bytes 32M --copy-file-bytes 128M --sync-file-bytes 16M \
    >"$OUTSIDE/stress.log" 2>&1 || die "${arguments[*]}: $(cat "$OUTSIDE/stress.log")"
  if grep -E 'fail:|not supported|skipping' "$OUTSIDE/stress.log"; then die "${arguments[*]}"; fi
  arguments=()
}
for stressor in "${STRESSORS[@]}"; do
  arguments+=("--$stressor" 1)
  [ "${#arguments[@]}" -lt $((2 * AT_ONCE)) ] || run_batch
done
[ ${#arguments[@]} -eq 0 ] || run_batch
equal "what is left" "$(ls -A)" ""
