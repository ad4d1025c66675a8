#!/usr/bin/env bash
# cp: reflinks when there are any, holes kept, copy_file_range(2) within the volume and across its border.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
head -c $((20000000 * SCALE + 4321)) /dev/urandom >data
truncate -s 60M sparse
dd of=sparse bs=1 seek=30000000 conv=notrunc status=none <<<"an island"

for source in data sparse; do
  cp --reflink=auto "$source" "$source.auto"
  cmp "$source" "$source.auto"
  cp --reflink=never --sparse=never "$source" "$source.never"
  cmp "$source" "$source.never"
  cp "$source" "$OUTSIDE/$source"
  cmp "$source" "$OUTSIDE/$source"
  cp "$OUTSIDE/$source" "$source.back"
  cmp "$source" "$source.back"
done
[ "$(stat -c %b sparse.auto)" -lt 1000 ] || die "the hole was filled"
if cp --reflink=always data clone 2>/dev/null; then die "the kernel passes clones on now: implement them"; fi
