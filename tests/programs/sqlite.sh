#!/usr/bin/env bash
# SQLite: two processes that write and read at once, with a write-ahead log (shared memory) and with a rollback journal.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
ROWS=$((60 * SCALE))

writer() {
  {
    echo ".timeout 60000"
    for _ in $(seq 1 "$ROWS"); do
      echo "BEGIN IMMEDIATE; INSERT INTO t(v) VALUES(randomblob(3000)); UPDATE total SET n = n + 1; COMMIT;"
    done
  } | sqlite3 -bail "$1"
}
reader() {
  {
    echo ".timeout 60000"
    for _ in $(seq 1 "$ROWS"); do echo "SELECT (SELECT count(*) FROM t) = (SELECT n FROM total);"; done
  } | sqlite3 -bail "$1" | sort -u
}

for mode in wal delete truncate; do
  database="$mode.db"
  equal "journal mode" "$(sqlite3 "$database" "PRAGMA journal_mode=$mode")" "$mode"
  sqlite3 "$database" "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE INDEX i ON t(v);
    CREATE TABLE total(n); INSERT INTO total VALUES(0);"
  writer "$database" &
  first=$!
  writer "$database" &
  second=$!
  equal "what the reader saw in $mode" "$(reader "$database")" 1
  wait "$first"
  wait "$second"
  equal "rows in $mode" "$(sqlite3 "$database" "SELECT count(*) FROM t")" $((2 * ROWS))
  equal "check of $mode" "$(sqlite3 "$database" "PRAGMA integrity_check")" ok
  sqlite3 "$database" "DELETE FROM t WHERE id % 2; VACUUM;"
  equal "check of $mode after VACUUM" "$(sqlite3 "$database" "PRAGMA integrity_check")" ok
done
