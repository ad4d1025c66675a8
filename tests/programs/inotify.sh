#!/usr/bin/env bash
# inotify(7): what changes on the mount is told, in order.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
mkdir watched
inotifywait --monitor --recursive --format '%e %f' -e create,modify,delete,move,attrib,close_write watched \
  >"$OUTSIDE/events" 2>"$OUTSIDE/inotify.log" &
watcher=$!
trap 'kill $watcher' EXIT
until grep -q "Watches established" "$OUTSIDE/inotify.log"; do
  kill -0 $watcher || die "$(cat "$OUTSIDE/inotify.log")"
  sleep 0.05
done
echo text >watched/a
mv watched/a watched/b
chmod 600 watched/b
ln watched/b watched/c
rm watched/b
mkdir watched/last
until grep -q last "$OUTSIDE/events"; do sleep 0.05; done
# Two attribute changes in a row (the mode, the links) become one event.
equal "the events" "$(grep -v '^ATTRIB c$' "$OUTSIDE/events" | tr '\n' ';')" \
  "CREATE a;MODIFY a;CLOSE_WRITE,CLOSE a;MOVED_FROM a;MOVED_TO b;ATTRIB b;CREATE c;DELETE b;CREATE,ISDIR last;"
