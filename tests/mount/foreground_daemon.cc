#include "tests/mount/foreground_daemon.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/mount/environment.h"

namespace ashlar::mount_test {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kStep{20};

bool is_mounted(const std::string& path) {
  constexpr long kFuse = 0x65735546;
  struct statfs status {};
  return statfs(path.c_str(), &status) == 0 && status.f_type == kFuse;
}

}  // namespace

ForegroundDaemon::ForegroundDaemon(const std::string& options, const std::string& device,
                                   const std::filesystem::path& mount_point, std::filesystem::path log,
                                   const std::function<void()>& prepare)
    : mount_point_(mount_point), log_(std::move(log)) {
  const std::string path = program("ashlarfs");
  child_ = fork();
  if (child_ < 0) throw std::runtime_error("fork");
  if (child_ > 0) return;
  const int out = open(log_.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  if (prepare) prepare();
  execl(path.c_str(), path.c_str(), "-f", "-o", options.c_str(), device.c_str(), mount_point_.c_str(), nullptr);
  _exit(127);
}

ForegroundDaemon::~ForegroundDaemon() {
  if (exit_status_ < 0) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  umount2(mount_point_.c_str(), MNT_DETACH);
}

bool ForegroundDaemon::wait_until_mounted() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (is_mounted(mount_point_)) return true;
    int status = 0;
    if (waitpid(child_, &status, WNOHANG) == child_) {
      exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return false;
    }
    std::this_thread::sleep_for(kStep);
  }
  return false;
}

int ForegroundDaemon::wait_until_ended() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (exit_status_ < 0 && std::chrono::steady_clock::now() < end) {
    int status = 0;
    if (waitpid(child_, &status, WNOHANG) == child_) {
      exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    std::this_thread::sleep_for(kStep);
  }
  return exit_status_;
}

void ForegroundDaemon::signal(int number) const { kill(child_, number); }

void ForegroundDaemon::forbid_writing(bool forbidden, std::uint64_t bytes) const {
  rlimit limit{};
  prlimit(child_, RLIMIT_FSIZE, nullptr, &limit);
  limit.rlim_cur = forbidden ? bytes : limit.rlim_max;
  if (prlimit(child_, RLIMIT_FSIZE, &limit, nullptr) != 0) throw std::runtime_error("prlimit");
}

std::string ForegroundDaemon::said() const {
  std::ostringstream text;
  text << std::ifstream(log_).rdbuf();
  return text.str();
}

}  // namespace ashlar::mount_test
