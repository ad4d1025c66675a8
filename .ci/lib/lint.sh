# Static checks.
# shellcheck shell=bash

lint_format() { source_files | xargs -r clang-format --dry-run -Werror; }

lint_shell() {
  local scripts
  mapfile -t scripts < <(find .ci tests -name '*.sh' -type f)
  shellcheck -x dev .ci/run "${scripts[@]}"
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

# clang-tidy, and clang's own warnings, over every source that has not passed it unchanged before. Needs a configured and built g++ tree.
lint_tidy() {
  local passed="$BUILD_RELEASE/tidy-passed" todo="$BUILD_RELEASE/tidy-todo" digests="$BUILD_RELEASE/tidy-digests"
  mkdir -p "$passed"
  tidy_digests >"$digests"
  if [ ! -s "$digests" ]; then
    echo "the build in $BUILD_RELEASE does not know what its sources include" >&2
    return 1
  fi
  while read -r source digest; do
    [ -e "$passed/$digest" ] || echo "$source $passed/$digest"
  done <"$digests" >"$todo"
  echo "clang-tidy: $(wc -l <"$todo") sources to check"
  # shellcheck disable=SC2016  # the inner shell expands them
  xargs -r -a "$todo" -P "$JOBS" -L 1 bash -c '
    if output="$(clang-tidy --quiet -p "$0" --extra-arg=-Wreserved-identifier "$1" 2>/dev/null)"; then
      : >"$2"
    else
      printf "%s\n" "$output"
      exit 1
    fi' "$BUILD_RELEASE"
}
