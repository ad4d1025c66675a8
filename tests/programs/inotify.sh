#!/usr/bin/env bash
# inotify(7): what changes on the mount is told, in order.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
mkdir watched
inotifywait --monitor --recursive --format '%e %f' -e create,modify,delete,move,attrib,close_write watched \
  >"$OUTSIDE/events" 2>"$OUTSIDE/inotify.log" &
watcher=$!
# Waited for: it keeps the volume busy until it has ended.
trap 'kill $watcher; wait $watcher || true' EXIT
# await TEXT FILE: until the watcher has said so.
await() {
  local deadline=$((SECONDS + 60))
  until grep -q "$1" "$2"; do
    kill -0 $watcher || die "$(cat "$OUTSIDE/inotify.log")"
    [ "$SECONDS" -lt "$deadline" ] || die "no '$1' within a minute; so far: $(cat "$2")"
    sleep 0.05
  done
}
await "Watches established" "$OUTSIDE/inotify.log"
echo text >watched/a
mv watched/a watched/b
chmod 600 watched/b
ln watched/b watched/c
rm watched/b
mkdir watched/last
await last "$OUTSIDE/events"
# Two attribute changes in a row (the mode, the links) become one event.
equal "the events" "$(grep -v '^ATTRIB c$' "$OUTSIDE/events" | tr '\n' ';')" \
  "CREATE a;MODIFY a;CLOSE_WRITE,CLOSE a;MOVED_FROM a;MOVED_TO b;ATTRIB b;CREATE c;DELETE b;CREATE,ISDIR last;"
