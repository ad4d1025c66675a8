# Static checks.
# shellcheck shell=bash

lint_format() { source_files | xargs -r clang-format --dry-run -Werror; }

lint_shell() {
  local scripts
  mapfile -t scripts < <(find .ci tests -name '*.sh' -type f)
  shellcheck -x dev .ci/run fs/cmake/ashlarfs.bash-completion "${scripts[@]}"
}

# Prints "SOURCE DIGEST" for every compiled source of ours, the digest being that of the source, of all our headers it
# reaches and of the rules: what clang-tidy's verdict depends on. From what the compiler reported to ninja.
tidy_digests() {
  local rules
  rules="$(find . -name .clang-tidy -not -path './build*' -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16)"
  ninja -C "$BUILD_RELEASE" -t deps 2>/dev/null | awk -v root="$ROOT/" '
    /^[^ ]/ { source = "" ; next }
    {
      path = $1
      if (index(path, root) == 1) path = substr(path, length(root) + 1)
      else if (index(path, "../") == 1) path = substr(path, 4)  # as ccache with a base directory has it
      else next
      if (source == "") source = path
      print source, path
    }' | while read -r source path; do
    [ -f "$path" ] && echo "$source $path"
  done | sort -u | awk '{ files[$1] = files[$1] " " $2 } END { for (s in files) print s files[s] }' |
    while read -r source files; do
      # shellcheck disable=SC2086  # our paths have no spaces
      echo "$source $({ echo "$rules" && cat $files; } | sha256sum | cut -c1-32)"
    done
}

# tidy KIND ARGUMENT...: clang-tidy with the arguments over the sources named on standard input, but those that passed the
# same KIND unchanged before. Needs a configured and built g++ tree.
tidy() {
  local passed="$BUILD_RELEASE/tidy-passed/$1"
  shift
  mkdir -p "$passed"
  tidy_digests >"$passed.digests"
  awk 'NR == FNR { digest[$1] = $2; next } $1 in digest { print $1, digest[$1] }' "$passed.digests" - >"$passed.known"
  if [ ! -s "$passed.known" ]; then
    echo "the build in $BUILD_RELEASE does not know what its sources include" >&2
    return 1
  fi
  while read -r source digest; do
    [ -e "$passed/$digest" ] || echo "$source $passed/$digest"
  done <"$passed.known" >"$passed.todo"
  echo "clang-tidy: $(wc -l <"$passed.todo") of $(wc -l <"$passed.known") sources to check"
  # shellcheck disable=SC2016  # the inner shell expands them
  xargs -r -a "$passed.todo" -P "$JOBS" -L 1 bash -c '
    set -f  # arguments have stars
    build="$1" arguments="$2" source="$3" verdict="$4"
    if output="$(clang-tidy --quiet -p "$build" --extra-arg=-Wreserved-identifier $arguments "$source" 2>/dev/null)"; then
      : >"$verdict"
    else
      printf "%s\n" "$output"
      exit 1
    fi' tidy "$BUILD_RELEASE" "$*"
}

lint_programs() { source_files | grep -v '^tests/' | grep '\.cc$' | tidy checks; }

lint_tests() { source_files | grep '^tests/' | grep '\.cc$' | tidy checks; }

# What the sanitized build, which is clang's, does not compile: only clang's warnings, without the rest of clang-tidy (which
# insists on one check).
lint_warnings() {
  local compiled
  compiled="$(ninja -C "$BUILD_RELEASE" -t inputs tests_unit | sed "s|^$ROOT/||" | sort)"
  source_files | grep '^tests/' | grep '\.cc$' | comm -23 - <(printf '%s\n' "$compiled") |
    tidy warnings '--checks=-*,clang-diagnostic-*,misc-misplaced-const'
}
