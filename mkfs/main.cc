#include <fmt/format.h>

#include <cstdio>
#include <variant>

#include "mkfs/command_line.h"
#include "mkfs/make_volume.h"

int main(int argc, char** argv) {
  const auto parsed = ashlar::mkfs::parse_command_line(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const auto& line = std::get<ashlar::mkfs::CommandLine>(parsed);
  const auto made = ashlar::mkfs::make_volume(line);
  if (made) return 0;
  fmt::print(stderr, "mkfs.ashlarfs: {}\n", made.error().message());
  return 1;
}
