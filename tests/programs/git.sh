#!/usr/bin/env bash
# git: a repository with history, made here; cloned, packed, checked. git_import.sh has a large one.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
init_git

git init -q -b main origin
for commit in $(seq 1 $((8 * SCALE))); do
  for i in $(seq 1 60); do
    mkdir -p "origin/dir$((i % 7))/sub$((commit % 5))"
    echo "commit $commit file $i $RANDOM" >>"origin/dir$((i % 7))/sub$((commit % 5))/file$i"
  done
  head -c 100000 /dev/urandom >"origin/blob$commit"
  git -C origin add -A
  git -C origin commit -q -m "commit $commit"
  git -C origin branch "topic$commit"
done
git clone -q --no-local origin clone
git -C clone fsck --full --strict --no-progress
git -C clone gc -q --aggressive --prune=now
git -C clone fsck --full --strict --no-progress
equal "changes in the clone" "$(git -C clone status --porcelain)" ""
silent "diff of clone and origin" diff -r --exclude=.git origin clone
git -C clone checkout -q "origin/topic2"
git -C clone checkout -q main
git -C clone worktree add -q ../worktree "origin/topic3"
git -C clone worktree remove ../worktree
git -C origin gc -q --prune=now
git clone -q --bare origin "$OUTSIDE/bare"
equal "head" "$(git -C clone rev-parse HEAD)" "$(git -C "$OUTSIDE/bare" rev-parse HEAD)"
