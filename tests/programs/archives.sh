#!/usr/bin/env bash
# tar and rsync -aHAX: to the volume, from it and within it; compared by the programs' own means.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
RSYNC=(rsync -aHAXS --numeric-ids --delete)
same() { silent "rsync of $1 and $2" "${RSYNC[@]}" --checksum --dry-run --itemize-changes "$1/" "$2/"; }
TAR=(tar --acls --xattrs '--xattrs-include=*' --numeric-owner --warning=no-timestamp)

make_rich_tree "$VOLUME/tree"
"${RSYNC[@]}" tree/ "$OUTSIDE/there/"
same tree "$OUTSIDE/there"
"${RSYNC[@]}" "$OUTSIDE/there/" back/
same "$OUTSIDE/there" back
same tree back

"${TAR[@]}" -cSf "$OUTSIDE/tree.tar" tree
mkdir unpacked
"${TAR[@]}" -xpSf "$OUTSIDE/tree.tar" -C unpacked
silent "tar --diff" "${TAR[@]}" -df "$OUTSIDE/tree.tar" -C unpacked
same tree unpacked/tree
[ "$(stat -c %b unpacked/tree/d3/sparse)" -lt 1000 ] || die "the hole was filled"
# As ext4 has it.
"${TAR[@]}" -xpSf "$OUTSIDE/tree.tar" -C "$OUTSIDE"
same "$OUTSIDE/tree" unpacked/tree

cp -a tree copied
same tree copied
rm -r tree back copied unpacked
equal "what is left" "$(ls -A)" ""
