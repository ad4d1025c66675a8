#include "tests/posix/posix_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>  // NOLINT(modernize-deprecated-headers): clock_gettime
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>

#include "tests/mount/environment.h"

namespace ashlar::posix_test {
namespace {

constexpr int kOddStatus = 255;  // of a child that could not do its work

bool set_capabilities(std::uint64_t wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return false;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= static_cast<std::uint32_t>(wanted >> (32 * i));
    sets[i].effective = sets[i].permitted;
  }
  return syscall(SYS_capset, &header, sets.data()) == 0;
}

bool become(const Caller& caller) {
  if (caller.capabilities && prctl(PR_SET_KEEPCAPS, 1) != 0) return false;
  const bool became = setgroups(caller.groups.size(), caller.groups.data()) == 0 &&
                      setresgid(caller.gid, caller.gid, caller.gid) == 0 &&
                      setresuid(caller.uid, caller.uid, caller.uid) == 0;
  return became && (!caller.capabilities || set_capabilities(*caller.capabilities));
}

timespec time_of(clockid_t clock) {
  timespec now{};
  EXPECT_EQ(clock_gettime(clock, &now), 0);
  return now;
}

// '+' later, '-' earlier, '=' the same.
char compare(const timespec& before, const timespec& after) {
  if (before.tv_sec == after.tv_sec && before.tv_nsec == after.tv_nsec) return '=';
  const bool later = after.tv_sec > before.tv_sec || (after.tv_sec == before.tv_sec && after.tv_nsec > before.tv_nsec);
  return later ? '+' : '-';
}

void append_change(std::string& changes, char name, const timespec& before, const timespec& after) {
  const char how = compare(before, after);
  if (how != '=') changes += name;
  if (how == '-') changes += '~';
}

}  // namespace

void PosixTest::SetUp() {
  ASHLAR_NEEDS_MOUNTING(GetParam() != Kind::ashlarfs);
  static_cast<void>(umask(0));  // a process of its own for each test
  filesystem_ = Filesystem::make(GetParam());
  ASSERT_EQ(chmod(filesystem_->root().c_str(), 0777), 0);
  // Others are to get as far as the mount point.
  ASSERT_EQ(chmod(filesystem_->root().parent_path().c_str(), 0755), 0);
}

void PosixTest::make_file(const std::string& name, std::string_view contents, mode_t mode) const {
  const OpenFile file(path(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
  ASSERT_EQ(write(file.fd(), contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
}

void PosixTest::make_directory(const std::string& name, mode_t mode) const {
  ASSERT_EQ(ERRNO_OF(mkdir(path(name).c_str(), mode)), 0) << name;
}

void PosixTest::give_to(const std::string& name, const Caller& owner) const {
  ASSERT_EQ(ERRNO_OF(lchown(path(name).c_str(), owner.uid, owner.gid)), 0) << name;
}

struct stat PosixTest::stat_of(const std::string& name) const {
  struct stat status {};
  EXPECT_EQ(ERRNO_OF(lstat(path(name).c_str(), &status)), 0) << name;
  return status;
}

std::string PosixTest::contents_of(const std::string& name) const {
  const OpenFile file(path(name), O_RDONLY);
  std::string contents(static_cast<std::size_t>(stat_of(name).st_size), '?');
  const ssize_t count = read(file.fd(), contents.data(), contents.size());
  EXPECT_EQ(count, static_cast<ssize_t>(contents.size())) << name;
  return contents;
}

bool PosixTest::exists(const std::string& name) const { return access(path(name).c_str(), F_OK) == 0; }

std::vector<std::string> PosixTest::names_in(const std::string& directory) const {
  std::vector<std::string> names;
  DIR* const stream = opendir(path(directory).c_str());
  EXPECT_NE(stream, nullptr) << directory;
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

int PosixTest::open_errno(const std::string& name, int flags, mode_t mode) const {
  const int fd = open(path(name).c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

int PosixTest::errno_as(const Caller& caller, const std::function<int()>& call) {
  const pid_t child = fork();
  if (child == 0) {
    if (!become(caller)) _exit(kOddStatus);
    errno = 0;
    _exit(call() == -1 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_NE(WEXITSTATUS(status), kOddStatus);
  return WEXITSTATUS(status);
}

void PosixTest::let_time_pass() {
  // Filesystems take their times from a clock that goes by ticks, and that may be some of them behind on a busy
  // machine; but where a time has been looked at, the next one is exact (multigrain timestamps). All that was stamped
  // before is before what the ticking clock says once it has passed the exact one.
  const timespec start = time_of(CLOCK_REALTIME);
  while (compare(start, time_of(CLOCK_REALTIME_COARSE)) != '+') {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::string PosixTest::times_changed(const std::string& name, const std::function<void()>& action) const {
  const struct stat before = stat_of(name);
  let_time_pass();
  action();
  const struct stat after = stat_of(name);
  std::string changes;
  append_change(changes, 'a', before.st_atim, after.st_atim);
  append_change(changes, 'm', before.st_mtim, after.st_mtim);
  append_change(changes, 'c', before.st_ctim, after.st_ctim);
  return changes;
}

OpenFile::OpenFile(const std::string& path, int flags, mode_t mode) : fd_(open(path.c_str(), flags | O_CLOEXEC, mode)) {
  EXPECT_GE(fd_, 0) << path << ": errno " << errno;
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) close(fd_);
}

std::string kind_name(const testing::TestParamInfo<Kind>& info) { return std::string(name_of(info.param)); }

std::vector<std::int64_t> outcomes_in_a_process(std::size_t count,
                                                const std::function<bool(std::span<std::int64_t>)>& run) {
  const std::size_t bytes = count * sizeof(std::int64_t);
  void* const shared = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(shared, MAP_FAILED);
  if (shared == MAP_FAILED) return {};
  const std::span<std::int64_t> outcomes(static_cast<std::int64_t*>(shared), count);
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(run(outcomes) ? 0 : 1);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(1);
    }
  }
  expect_success({child});
  std::vector<std::int64_t> result(outcomes.begin(), outcomes.end());
  munmap(shared, bytes);
  return result;
}

void expect_success(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    ASSERT_GT(child, 0) << "fork";  // waiting for -1 would be for any child
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace ashlar::posix_test
