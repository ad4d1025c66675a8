#include <cstdio>
#include <variant>

#include "fs/base/standard_streams.h"
#include "fs/ctl/command_line.h"

namespace {

constexpr int kFailed = 1;

int run(int argc, char** argv) {
  const auto parsed = ashlar::ctl::parse_command_line(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  int exit_status = 0;
  const ashlar::Status done = std::get<ashlar::ctl::Action>(parsed)(exit_status);
  if (done) return exit_status;
  ashlar::print(stderr, "ashlarctl: {}\n", done.error().message());
  return exit_status == 0 ? kFailed : exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  if (!ashlar::occupy_standard_streams()) return kFailed;
  const int status = run(argc, argv);
  // A status that tells something already means what its command says: a scrub's 1 is damage that was healed.
  return ashlar::finish_output("ashlarctl", status, status == 0 ? kFailed : 0);
}
