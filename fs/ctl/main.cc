#include <fmt/format.h>

#include <cstdio>
#include <variant>

#include "fs/ctl/command_line.h"

int main(int argc, char** argv) {
  const auto parsed = ashlar::ctl::parse_command_line(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  int exit_status = 0;
  const ashlar::Status done = std::get<ashlar::ctl::Action>(parsed)(exit_status);
  if (done) return exit_status;
  fmt::print(stderr, "ashlarctl: {}\n", done.error().message());
  return exit_status == 0 ? 1 : exit_status;
}
