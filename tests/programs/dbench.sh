#!/usr/bin/env bash
# dbench: the load of a file server, four clients.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
mkdir "$VOLUME/dbench"
dbench --timelimit $((3 * SCALE)) --directory "$VOLUME/dbench" 4 >"$OUTSIDE/dbench.log" 2>&1 ||
  die "$(tail -n 20 "$OUTSIDE/dbench.log")"
if grep -i -E 'error|fail' "$OUTSIDE/dbench.log"; then die "errors"; fi
grep Throughput "$OUTSIDE/dbench.log"
