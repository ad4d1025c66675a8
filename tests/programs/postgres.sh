#!/usr/bin/env bash
# PostgreSQL 15: a cluster with checksums, pgbench, every process killed under load, recovery, and all of it checked.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
BIN=/usr/lib/postgresql/15/bin
HOME_DIR="$VOLUME/postgres"
install -d -o postgres "$HOME_DIR"
cd "$HOME_DIR"
CONNECT=(-h "$HOME_DIR")
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$HOME_DIR" "$@"; }
query() { as_postgres "$BIN/psql" "${CONNECT[@]}" -X -q -A -t -v ON_ERROR_STOP=1 bench -c "$1"; }
server() { as_postgres "$BIN/pg_ctl" -D data -l log -o "-k $HOME_DIR -c listen_addresses= -c shared_buffers=32MB" -w "$@" >>ctl.log 2>&1 || die "$(cat ctl.log log)"; }
postmaster() { head -n 1 data/postmaster.pid; }
kill_all() {
  local master children
  master="$(postmaster)"
  mapfile -t children < <(pgrep -P "$master")
  kill -KILL "$master" "${children[@]}" || true
  for pid in "$master" "${children[@]}"; do
    while [ -e "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
  done
  rm -f data/postmaster.pid .s.PGSQL.5432 .s.PGSQL.5432.lock # the killed one may still be seen as a zombie
}
trap '[ ! -e data/postmaster.pid ] || kill -KILL "$(postmaster)"' EXIT

as_postgres "$BIN/initdb" -D data --data-checksums -A trust >init.log
server start
as_postgres "$BIN/createdb" "${CONNECT[@]}" bench
as_postgres "$BIN/pgbench" "${CONNECT[@]}" -i -q -s 2 bench >>init.log 2>&1
query "CREATE EXTENSION amcheck; CREATE TABLE acknowledged(n int)"
for round in $(seq 1 "$SCALE"); do
  # -n: it would empty the history of the rounds before, which is in the sums.
  as_postgres "$BIN/pgbench" "${CONNECT[@]}" -n -c 4 -j 2 -T 600 bench >bench.log 2>&1 &
  load=$!
  # What is acknowledged must be there afterwards.
  query "INSERT INTO acknowledged VALUES($round)"
  sleep 3
  query "INSERT INTO acknowledged VALUES($round)"
  kill_all
  wait $load || true
  server start
  equal "acknowledged rows" "$(query "SELECT count(*) FROM acknowledged")" $((2 * round))
  equal "the sums" "$(query "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
    AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(tbalance) FROM pgbench_tellers)
    AND (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches)")" t
  silent pg_amcheck as_postgres "$BIN/pg_amcheck" "${CONNECT[@]}" --heapallindexed bench
done
query "VACUUM FULL"
server stop
as_postgres "$BIN/pg_checksums" --check -D data | grep -q 'Bad checksums: *0$' || die "bad checksums"
