#include "tests/mount/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace ashlar::mount_test {
namespace {

// An anonymous file for a child's output: unlike a pipe it needs no reader and no end.
class OutputFile {
 public:
  OutputFile() : fd_(memfd_create("output", MFD_CLOEXEC)) {}
  ~OutputFile() { close(fd_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] int fd() const { return fd_; }

  [[nodiscard]] std::string text() const {
    std::string text;
    std::array<char, 4096> buffer{};
    for (off_t at = 0;;) {
      const ssize_t got = pread(fd_, buffer.data(), buffer.size(), at);
      if (got <= 0) return text;
      text.append(buffer.data(), static_cast<std::size_t>(got));
      at += got;
    }
  }

 private:
  int fd_;
};

[[noreturn]] void become(const std::vector<std::string>& argv, int output, int errors) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execvp(arguments[0], arguments.data());
  dprintf(STDERR_FILENO, "cannot run %s\n", arguments[0]);
  _exit(127);
}

// Whether the child ended before the deadline. It remains to be waited for.
bool ended_in_time(pid_t child, std::chrono::seconds deadline) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (fd < 0) return true;  // too old a kernel: wait without a deadline
  pollfd event{fd, POLLIN, 0};
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count();
  const int ready = poll(&event, 1, static_cast<int>(milliseconds));
  close(fd);
  return ready != 0;
}

int exit_status_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

CommandResult run(const std::vector<std::string>& argv, std::chrono::seconds deadline) {
  CommandResult result;
  for (const std::string& argument : argv) result.command += (result.command.empty() ? "" : " ") + argument;
  const OutputFile output;
  const OutputFile errors;
  const pid_t child = fork();
  if (child == 0) become(argv, output.fd(), errors.fd());
  if (child < 0) {
    result.exit_status = 127;
    return result;
  }
  result.timed_out = !ended_in_time(child, deadline);
  if (result.timed_out) kill(child, SIGKILL);
  result.exit_status = exit_status_of(child);
  result.output = output.text();
  result.errors = errors.text();
  return result;
}

testing::AssertionResult succeeded(const CommandResult& result) {
  if (result.exit_status == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << result.command << (result.timed_out ? "\nwas killed at its deadline" : "")
                                     << "\nexit status " << result.exit_status << "\nstdout: " << result.output
                                     << "\nstderr: " << result.errors;
}

testing::AssertionResult refused(const CommandResult& result, const std::vector<std::string>& mentions) {
  const auto failure = [&](const std::string& why) {
    return testing::AssertionFailure() << result.command << "\n"
                                       << why << "\nexit status " << result.exit_status << "\nstdout: " << result.output
                                       << "\nstderr: " << result.errors;
  };
  if (result.exit_status == 0) return failure("was expected to fail");
  if (result.exit_status >= 127) return failure("was killed or could not be run");
  if (std::count(result.errors.begin(), result.errors.end(), '\n') != 1 || !result.errors.ends_with('\n')) {
    return failure("was expected to say one line to standard error");
  }
  for (const std::string& mention : mentions) {
    if (result.errors.find(mention) == std::string::npos) return failure("was expected to mention '" + mention + "'");
  }
  return testing::AssertionSuccess();
}

}  // namespace ashlar::mount_test
