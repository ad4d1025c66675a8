#!/usr/bin/env bash
# git: 20,000 files in 1,000 commits, imported, checked out, cloned, packed anew, checked.
# shellcheck source=tests/programs/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
cd "$VOLUME"
COMMITS=$((1000 * SCALE))
FILES=20 # new ones of a commit; as many are changed

# The same stream every time. Directories nest; a changed file is one of the commits before.
history_stream() {
  awk -v commits="$COMMITS" -v files="$FILES" '
    function name(n) { return sprintf("d%d/e%d/f%d", n % 23, int(n / 23) % 31, n) }
    function text(n, c,   i, t) {
      t = ""
      for (i = 0; i < 3 + n % 40; i++) t = t "line " i " of file " n " as of " c "\n"
      return t
    }
    function blob(n, c,   t) {
      t = text(n, c)
      printf "M 100644 inline %s\ndata %d\n%s\n", name(n), length(t), t
    }
    BEGIN {
      for (c = 1; c <= commits; c++) {
        printf "commit refs/heads/main\nmark :%d\ncommitter a <a@b> %d +0000\ndata %d\nc%d\n", c, 1e9 + c, length(c) + 1, c
        if (c > 1) printf "from :%d\n", c - 1
        for (i = 0; i < files; i++) blob((c - 1) * files + i, c)
        if (c > 1) for (i = 0; i < files; i++) blob((c * 7919 + i * 104729) % ((c - 1) * files), c)
      }
      print "done"
    }'
}

init_git
git init -q -b main origin
history_stream | git -C origin fast-import --quiet --done
git -C origin reset -q --hard
equal "files" "$(find origin -name .git -prune -o -type f -print | wc -l)" $((COMMITS * FILES))
git clone -q --no-local origin clone
equal "commits" "$(git -C clone rev-list --count HEAD)" "$COMMITS"
equal "changes in the clone" "$(git -C clone status --porcelain)" ""
git -C clone gc -q --prune=now
git -C clone fsck --full --strict --no-progress
silent "diff of clone and origin" diff -r --exclude=.git origin clone
git -C clone checkout -q "HEAD~$((COMMITS / 2))"
equal "files of half the history" "$(git -C clone ls-files | wc -l)" $(((COMMITS - COMMITS / 2) * FILES))
equal "changes of half the history" "$(git -C clone status --porcelain)" ""
