# Shared by the pieces of ./dev.
# shellcheck shell=bash

# Debian gives administration programs (losetup, mkfs.ext4) to root's login shells alone.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

JOBS="${JOBS:-$(nproc)}"

die() {
  echo "dev: $*" >&2
  exit 1
}

headline() { printf '\n== %s\n' "$*"; }

# Runs its arguments as root.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root for: $*"
  fi
}

# The folders that hold C++ code.
SOURCE_FOLDERS=(blockio fs mkfs fsck tests)

source_files() { find "${SOURCE_FOLDERS[@]}" \( -name '*.cc' -o -name '*.h' \) -type f | sort; }

# A command prefix that stops the randomising of addresses: the sanitizer runtimes of Debian 12 cannot place their shadow
# memory on kernels that randomise more bits than they were written for. Empty where a container forbids it.
FIXED_ADDRESSES=(setarch "$(uname -m)" -R)
"${FIXED_ADDRESSES[@]}" true 2>/dev/null || FIXED_ADDRESSES=()
