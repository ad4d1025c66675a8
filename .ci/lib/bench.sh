# `./dev bench` and `./dev fuzz`.
# shellcheck shell=bash

bench_volume() { die "there is no benchmark yet, see issue 7"; }

fuzz_volume() { die "there are no fuzz targets yet, see issue 6"; }
