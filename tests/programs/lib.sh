# Sourced by every script here. A script is given VOLUME (a directory on the filesystem to try) and OUTSIDE (one beside
# it); it ends with 0 when the program did all that it should. By hand, on any filesystem: bash git.sh /mnt/x /var/tmp/y
# shellcheck shell=bash
# shellcheck disable=SC2034  # the scripts use them
set -euo pipefail

VOLUME="$(realpath "${1:?the directory to try}")"
OUTSIDE="$(realpath "${2:?a directory beside it}")"
# Names of any bytes, messages and sorting as the scripts expect them, whatever the machine is set to.
export LC_ALL=C.UTF-8
# Debian gives administration programs to root's login shells alone.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# How much longer than in CI everything takes.
SCALE="${ASHLAR_PROGRAMS_SCALE:-1}"

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# equal WHAT FOUND EXPECTED
equal() { [ "$2" = "$3" ] || die "$1: found '$2', expected '$3'"; }

# silent WHAT COMMAND...: succeeds and says nothing, as programs do that compare.
silent() {
  local what="$1" said
  shift
  said="$("$@" 2>&1)" || die "$what failed: $said"
  [ -z "$said" ] || die "$what found differences: $said"
}

# A git that asks nobody, leaves nothing running, and has no settings of the machine's.
init_git() {
  export GIT_CONFIG_NOSYSTEM=1 HOME="$OUTSIDE" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
  git config --global gc.autoDetach false
}

# A tree with everything that archives must keep.
make_rich_tree() {
  local tree="$1" i j
  mkdir -p "$tree"
  for i in 1 2 3; do
    mkdir "$tree/d$i"
    for j in $(seq 1 20); do head -c $((j * j * 97)) /dev/urandom >"$tree/d$i/f$j"; done
  done
  ln "$tree/d1/f1" "$tree/d2/hard"
  ln "$tree/d1/f1" "$tree/d3/hard"
  ln -s ../d1/f2 "$tree/d2/link"
  ln -s "nowhere/$(printf 'x%.0s' {1..200})" "$tree/d2/dangling"
  touch -h -d '1999-01-01' "$tree/d2/link"
  mkfifo "$tree/d1/fifo"
  mknod "$tree/d1/null" c 1 3
  mknod "$tree/d1/block" b 7 200
  truncate -s 100M "$tree/d3/sparse"
  dd of="$tree/d3/sparse" bs=1 seek=50000000 conv=notrunc status=none <<<"an island"
  setfattr -n user.small -v hello "$tree/d1/f3"
  setfattr -n user.large -v "$(printf 'y%.0s' {1..3000})" "$tree/d1/f4"
  setfattr -n trusted.secret -v 1 "$tree/d1"
  setcap cap_net_raw+ep "$tree/d1/f5"
  setfacl -m u:1001:rwx,g:2001:r "$tree/d1/f6"
  setfacl -d -m u:1002:rx "$tree/d2"
  chmod 6755 "$tree/d1/f7"
  chmod 1777 "$tree/d3"
  chown 1234:4321 "$tree/d1/f8"
  touch -d '2100-01-02 03:04:05.987654321' "$tree/d1/f10"
  printf 'odd' >"$tree/d1/$(printf 'n\n\t\xff\xfe name')"
  printf 'long' >"$tree/d1/$(printf 'é%.0s' {1..127})"
}
