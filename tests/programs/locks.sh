#!/usr/bin/env bash
# flock(1) between processes, and many of them counting in one file under its lock.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
exec 9>lock
flock --nonblock 9 || die "a free lock was refused"
flock --nonblock lock true && die "an exclusive lock was given twice"
exec 9>&-
flock --nonblock lock true || die "the lock outlived its owner"
flock --shared lock flock --shared --nonblock lock true || die "shared locks exclude each other"

echo 0 >counter
count() {
  # shellcheck disable=SC2016  # the inner shell expands it
  for _ in $(seq 1 100); do flock lock bash -c 'read -r n <counter; echo $((n + 1)) >counter'; done
}
pids=()
for _ in 1 2 3; do
  count &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
equal "the counter" "$(cat counter)" 300
