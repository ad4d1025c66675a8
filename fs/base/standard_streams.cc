#include "fs/base/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ashlar {
namespace {

// A directory takes no writes either; it is there where /dev is not.
int open_harmless() noexcept {
  const int null = open("/dev/null", O_RDWR);
  return null >= 0 ? null : open("/", O_RDONLY | O_DIRECTORY);
}

}  // namespace

bool occupy_standard_streams() noexcept {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    if (open_harmless() != stream) return false;  // the lowest number that is free
  }
  return true;
}

void print_text(FILE* stream, std::string_view text) noexcept {
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stream));
}

bool output_arrived() noexcept { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

int finish_output(std::string_view program, int status, int failure) noexcept {
  errno = 0;
  if (output_arrived()) return status;
  const char* why = errno == 0 ? "not everything could be written" : std::strerror(errno);
  std::fprintf(stderr, "%.*s: standard output: %s\n", static_cast<int>(program.size()), program.data(), why);
  return status | failure;
}

}  // namespace ashlar
