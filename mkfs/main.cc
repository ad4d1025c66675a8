#include <cstdio>
#include <variant>

#include "fs/base/standard_streams.h"
#include "mkfs/command_line.h"
#include "mkfs/make_volume.h"

namespace {

int run(int argc, char** argv) {
  const auto parsed = ashlar::mkfs::parse_command_line(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const auto& line = std::get<ashlar::mkfs::CommandLine>(parsed);
  const auto made = ashlar::mkfs::make_volume(line);
  if (made) return 0;
  ashlar::print(stderr, "mkfs.ashlarfs: {}\n", made.error().message());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (!ashlar::occupy_standard_streams()) return 1;
  return ashlar::finish_output("mkfs.ashlarfs", run(argc, argv), 1);
}
