# The Debian 12 packages that building, testing and linting need.
# shellcheck shell=bash

PACKAGES=(
  # compilers and build
  build-essential g++ clang libclang-rt-14-dev cmake ninja-build ccache pkg-config git ca-certificates
  # lint
  clang-tidy clang-format shellcheck
  # libraries
  libfuse3-dev liburing-dev libcli11-dev libexpected-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libblkid-dev
  uuid-dev libmount-dev libxxhash-dev robin-map-dev libabsl-dev libisal-dev
  # tests and benchmarks
  libgtest-dev libgmock-dev libbenchmark-dev fuse3 e2fsprogs util-linux mount attr acl sqlite3 fio diffutils dpkg-dev file
  # programs that are run in mounted volumes
  rsync tar libcap2-bin inotify-tools dbench stress-ng fuse-overlayfs postgresql-15 procps
)

# Prints those of its arguments that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    # Asked one by one: dpkg-query fails as a whole when it knows none of that name.
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# install_packages [PACKAGE...]: by default all that building and testing need.
install_packages() {
  [ $# -gt 0 ] || set -- "${PACKAGES[@]}"
  command -v dpkg-query >/dev/null || die "this is not a Debian system; install the equivalents of: $*"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  headline "Installing ${#missing[@]} packages: ${missing[*]}"
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}
