#include "fs/daemon/background.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fs/base/standard_streams.h"

namespace ashlar::daemon {
namespace {

// A message: kind, exit status, then the text up to the end of the pipe.
constexpr char kReady = 'r';
constexpr char kFailed = 'f';

std::string read_all(int pipe) {
  std::string all;
  char buffer[512];
  for (;;) {
    const ssize_t count = read(pipe, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return all;
    all.append(buffer, static_cast<std::size_t>(count));
  }
}

[[noreturn]] void exit_as_told(const std::string& message, const std::string& device) {
  if (message.size() < 2) {
    print(stderr, "ashlarfs: {}: the daemon died while mounting; see the system log\n", device);
    std::fflush(nullptr);
    _exit(1);
  }
  const bool ready = message[0] == kReady;
  print(ready ? stdout : stderr, "{}", message.substr(2));
  // Mounted is mounted, whether or not anybody reads so.
  const int status = finish_output("ashlarfs", ready ? 0 : static_cast<unsigned char>(message[1]), 0);
  std::fflush(nullptr);
  _exit(status);
}

void detach_standard_streams() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, stream);
  if (null > STDERR_FILENO) close(null);
}

}  // namespace

Readiness::~Readiness() {
  if (pipe_ >= 0) close(pipe_);
}
Readiness::Readiness(Readiness&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)) {}

void Readiness::send(char kind, int status, const std::string& text) {
  if (pipe_ < 0) {
    print(kind == kReady ? stdout : stderr, "{}", text);
    std::fflush(nullptr);
    return;
  }
  const std::string message = std::string{kind, static_cast<char>(status)} + text;
  // Should the command be gone there is nobody to tell.
  static_cast<void>(!write(pipe_, message.data(), message.size()));
  close(std::exchange(pipe_, -1));
}

void Readiness::ready(const std::string& text) { send(kReady, 0, text); }
void Readiness::failed(int status, const std::string& text) { send(kFailed, status, text); }

Readiness go_into_background(const std::string& device) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    print(stderr, "ashlarfs: {}: no pipe: {}\n", device, std::strerror(errno));
    std::exit(1);
  }
  const pid_t child = fork();
  if (child < 0) {
    print(stderr, "ashlarfs: {}: cannot fork: {}\n", device, std::strerror(errno));
    std::exit(1);
  }
  if (child > 0) {
    close(ends[1]);
    exit_as_told(read_all(ends[0]), device);
  }
  close(ends[0]);
  setsid();
  if (chdir("/") != 0) std::exit(1);
  detach_standard_streams();
  return Readiness(ends[1]);
}

}  // namespace ashlar::daemon
