#include "tests/mount/machine_setting.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace ashlar::mount_test {
namespace {

// What was there before the first user came; empty when there is none.
std::string noted(int users) {
  std::array<char, 64> text{};
  const ssize_t size = pread(users, text.data(), text.size(), 0);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

}  // namespace

MachineSetting::MachineSetting(std::filesystem::path setting, const std::filesystem::path& users_path)
    : setting_(std::move(setting)) {
  if (!exists()) return;
  const int users = open(users_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (users < 0) return;  // who may not make it may not change the setting either
  join(users);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  guard_ = fork();
  if (guard_ < 0) throw std::runtime_error("fork");
  if (guard_ == 0) guard(ends[0], users);
  close(ends[0]);
  close(users);
  hold_ = ends[1];
}

MachineSetting::~MachineSetting() {
  if (hold_ < 0) return;
  close(hold_);
  waitpid(guard_, nullptr, 0);
}

void MachineSetting::guard(int owner, int users) const {
  setsid();  // what kills the test's processes is not for this one
  dup2(owner, STDIN_FILENO);
  dup2(users, STDOUT_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);  // other guards wait for their owners alone
  char unused = 0;
  while (read(STDIN_FILENO, &unused, 1) < 0 && errno == EINTR) continue;
  leave(STDOUT_FILENO);
  _exit(0);
}

// A lock is not turned from one kind into the other at once: others may have it in between. So after each step it is
// looked at what there is.
void MachineSetting::join(int users) const {
  for (;;) {
    if (flock(users, LOCK_EX | LOCK_NB) == 0 && noted(users).empty()) {
      const std::string before = value();
      static_cast<void>(!pwrite(users, before.data(), before.size(), 0));
    }
    while (flock(users, LOCK_SH) != 0 && errno == EINTR) continue;
    if (!noted(users).empty()) return;
    flock(users, LOCK_UN);  // the last one has gone meanwhile
  }
}

void MachineSetting::leave(int users) const {
  if (flock(users, LOCK_EX | LOCK_NB) != 0) return;
  const std::string before = noted(users);
  if (!before.empty() && value() != before) set(before);
  static_cast<void>(!ftruncate(users, 0));
}

std::string MachineSetting::value() const {
  std::string word;
  std::ifstream(setting_) >> word;
  return word;
}

// In one piece: others read it at any time.
void MachineSetting::set(const std::string& value) const {
  const int file = open(setting_.c_str(), O_WRONLY | O_CLOEXEC);
  static_cast<void>(!write(file, value.data(), value.size()));
  close(file);
}

}  // namespace ashlar::mount_test
