// Which error of several comes first: every operation on names with every kind of path, two where it takes two, by root
// and by somebody else, on writable and read-only mounts. POSIX leaves the order open; programs and suites know what
// the kernel's own filesystems do, so the answers are ext4's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/mount/environment.h"
#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

constexpr uid_t kAliceId = 1001;
constexpr uid_t kBobId = 1002;

struct Operation {
  const char* name;
  std::function<int(const char*, const char*)> call;  // the second path of those that take two
  bool takes_two = false;
  bool changes_names = false;  // or permissions: what the next operation meets would be another tree
};

int open_and_close(const char* path, int flags) {
  const int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC, 0644);
  return fd < 0 ? -1 : close(fd);
}

std::vector<Operation> operations() {
  std::vector<Operation> all;
  const auto one = [&all](const char* name, std::function<int(const char*)> call) {
    all.push_back({name, [call = std::move(call)](const char* path, const char*) { return call(path); }});
  };
  const auto changing = [&](const char* name, std::function<int(const char*)> call) {
    one(name, std::move(call));
    all.back().changes_names = true;
  };
  const auto two = [&all](const char* name, std::function<int(const char*, const char*)> call) {
    all.push_back({name, std::move(call), true, true});
  };
  const std::pair<const char*, int> openings[] = {
      {"open to read", O_RDONLY},
      {"open to write", O_WRONLY},
      {"open and create", O_RDWR | O_CREAT},
      {"open to create", O_WRONLY | O_CREAT | O_EXCL},
      {"open and truncate", O_WRONLY | O_TRUNC},
      {"open a directory", O_RDONLY | O_DIRECTORY},
      {"open no link", O_RDONLY | O_NOFOLLOW},
      {"open without a name", O_RDWR | O_TMPFILE},
      {"open no time", O_RDONLY | O_NOATIME},
      {"open directly", O_RDONLY | O_DIRECT},
  };
  for (const auto& [name, flags] : openings) {
    one(name, [flags = flags](const char* path) { return open_and_close(path, flags); });
    all.back().changes_names = (flags & O_CREAT) != 0;
  }
  changing("mkdir", [](const char* path) { return mkdir(path, 0755); });
  changing("mkfifo", [](const char* path) { return mkfifo(path, 0644); });
  changing("mknod", [](const char* path) { return mknod(path, S_IFCHR | 0644, 0x103); });
  changing("mknod of a file", [](const char* path) { return mknod(path, S_IFREG | 0644, 0); });
  changing("symlink", [](const char* path) { return symlink("target", path); });
  changing("symlink to nothing", [](const char* path) { return symlink("", path); });
  changing("unlink", [](const char* path) { return unlink(path); });
  changing("rmdir", [](const char* path) { return rmdir(path); });
  changing("chmod", [](const char* path) { return chmod(path, 0640); });
  changing("chown", [](const char* path) { return chown(path, kAliceId, kAliceId); });
  changing("lchown", [](const char* path) { return lchown(path, 0, 0); });
  one("truncate", [](const char* path) { return truncate(path, 5); });
  one("truncate below 0", [](const char* path) { return truncate(path, -1); });
  one("stat", [](const char* path) {
    struct stat status {};
    return stat(path, &status);
  });
  one("lstat", [](const char* path) {
    struct stat status {};
    return lstat(path, &status);
  });
  one("readlink", [](const char* path) {
    char target[64];
    return readlink(path, target, sizeof target) < 0 ? -1 : 0;
  });
  one("utimensat", [](const char* path) { return utimensat(AT_FDCWD, path, nullptr, 0); });
  one("utimensat of a link", [](const char* path) { return utimensat(AT_FDCWD, path, nullptr, AT_SYMLINK_NOFOLLOW); });
  one("access to write", [](const char* path) { return eaccess(path, W_OK); });
  one("access to run", [](const char* path) { return eaccess(path, X_OK); });
  one("setxattr", [](const char* path) { return setxattr(path, "user.x", "1", 1, 0); });
  one("setxattr that is there", [](const char* path) { return setxattr(path, "user.x", "1", 1, XATTR_REPLACE); });
  one("lsetxattr of root's", [](const char* path) { return lsetxattr(path, "trusted.x", "1", 1, 0); });
  one("setxattr of no kind", [](const char* path) { return setxattr(path, "nothing.x", "1", 1, 0); });
  one("getxattr", [](const char* path) { return getxattr(path, "user.none", nullptr, 0) < 0 ? -1 : 0; });
  one("lgetxattr of root's", [](const char* path) { return lgetxattr(path, "trusted.x", nullptr, 0) < 0 ? -1 : 0; });
  one("removexattr", [](const char* path) { return removexattr(path, "user.none"); });
  one("statfs", [](const char* path) {
    struct statfs status {};
    return statfs(path, &status);
  });
  two("link", [](const char* from, const char* to) { return link(from, to); });
  two("link of what it leads to",
      [](const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW); });
  const std::pair<const char*, unsigned> renames[] = {
      {"rename", 0}, {"rename to a new name", RENAME_NOREPLACE}, {"exchange", RENAME_EXCHANGE}};
  for (const auto& [name, flags] : renames) {
    two(name,
        [flags = flags](const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags); });
  }
  return all;
}

// Below the directory that make_tree() makes; the last component matters, or those before it, or both.
std::vector<std::string> paths() {
  const std::string longest(255, 'n');
  const std::string too_long(256, 'n');
  std::string beyond_path_max;
  while (beyond_path_max.size() < 4096) beyond_path_max += "dir/../";
  std::vector<std::string> all = {"file",
                                  "mine",
                                  "dir",
                                  "full",
                                  "empty",
                                  "fifo",
                                  "device",
                                  "missing",
                                  "link",
                                  "dirlink",
                                  "dirlink/",
                                  "dangling",
                                  "dangling/",
                                  "loop",
                                  "file/",
                                  "missing/",
                                  "dir/",
                                  ".",
                                  "..",
                                  "dir/.",
                                  "dir/..",
                                  "empty/..",
                                  "",

                                  "dir/inner",
                                  "dir/missing",
                                  "theirs/file",
                                  "theirs/missing",
                                  "theirs/dir",
                                  "full/x",
                                  "full/x/y",
                                  "closed/file",
                                  "closed/missing",
                                  "closed/.",
                                  "sticky/bobs",
                                  "sticky/missing",
                                  "file/below",
                                  "file/..",
                                  "missing/below",
                                  "link/below",
                                  "loop/below",
                                  "dangling/below"};
  for (const char* const above : {"", "file/", "missing/", "closed/", "theirs/"}) all.push_back(above + too_long);
  all.push_back(longest);
  all.push_back(beyond_path_max);
  return all;
}

// In a new directory, which becomes the current one. What was there before stays for a while: removing it takes longer.
void make_tree(const std::filesystem::path& root, int number) {
  constexpr int kKept = 500;
  if (number % kKept == 0) {
    for (const auto& old : std::filesystem::directory_iterator(root)) std::filesystem::remove_all(old.path());
  }
  const std::filesystem::path base = root / ("base" + std::to_string(number));
  bool made = mkdir(base.c_str(), 0755) == 0;
  std::filesystem::current_path(base);
  const auto file = [&made](const char* name, mode_t mode, uid_t owner) {
    const int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    made = made && fd >= 0 && write(fd, "contents", 8) == 8 && fchown(fd, owner, owner) == 0 && close(fd) == 0;
  };
  const auto directory = [&made](const char* name, mode_t mode) { made = made && mkdir(name, mode) == 0; };
  file("file", 0644, 0);
  file("mine", 0600, kAliceId);
  directory("dir", 0755);
  file("dir/inner", 0644, 0);
  directory("full", 0755);
  directory("full/x", 0755);
  directory("empty", 0755);
  directory("theirs", 0777);
  file("theirs/file", 0644, 0);
  directory("theirs/dir", 0755);
  directory("closed", 0700);
  file("closed/file", 0644, 0);
  directory("sticky", 01777);
  file("sticky/bobs", 0666, kBobId);
  made = made && symlink("file", "link") == 0 && symlink("dir", "dirlink") == 0 && symlink("nothing", "dangling") == 0;
  made = made && symlink("loop", "loop") == 0 && mkfifo("fifo", 0644) == 0;
  made = made && mknod("device", S_IFCHR | 0644, 0x103) == 0;
  if (!made) throw std::runtime_error("cannot make the tree");
}

struct Case {
  const Operation* operation;
  const std::string* first;
  const std::string* second;
  uid_t caller;
};

std::string text_of(const Case& which) {
  const auto shorten = [](const std::string& path) {
    return path.size() < 100 ? path : path.substr(0, 20) + "... (" + std::to_string(path.size()) + ")";
  };
  std::string text = std::string(which.operation->name) + " '" + shorten(*which.first) + "'";
  if (which.operation->takes_two) text += " '" + shorten(*which.second) + "'";
  return text + (which.caller == 0 ? " by root" : " by another");
}

class PrecedenceTest : public testing::TestWithParam<bool> {  // whether the mount is read-only
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(true);
    // Each path meets some others in CI, and all in a long run.
    const std::size_t step = std::getenv("ASHLAR_PRECEDENCE_ALL") != nullptr ? 1 : 7;
    for (const Operation& operation : operations_) {
      for (std::size_t first = 0; first < paths_.size(); ++first) {
        const std::size_t end = operation.takes_two ? paths_.size() : 1;
        for (std::size_t second = operation.takes_two ? first % step : 0; second < end; second += step) {
          for (const uid_t caller : {uid_t{0}, kAliceId}) {
            cases_.push_back({&operation, &paths_[first], &paths_[second], caller});
          }
        }
      }
    }
  }

  // 0 or errno of each case.
  std::vector<std::int64_t> outcomes_on(Kind kind) {
    const std::unique_ptr<Filesystem> filesystem = Filesystem::make(kind);
    const std::filesystem::path& root = filesystem->root();
    std::filesystem::permissions(root.parent_path(), std::filesystem::perms{0755});
    const bool read_only = GetParam();
    const auto before = std::filesystem::current_path();
    make_tree(root, 0);
    std::filesystem::current_path(before);
    if (read_only) filesystem->remount("ro");
    return outcomes_in_a_process(cases_.size(),
                                 [&](std::span<std::int64_t> outcomes) { return run(root, read_only, outcomes); });
  }

  [[nodiscard]] const std::vector<Case>& cases() const { return cases_; }

 private:
  bool run(const std::filesystem::path& root, bool read_only, std::span<std::int64_t> outcomes) const {
    static_cast<void>(umask(0));
    std::filesystem::current_path(root / "base0");
    int trees = 1;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const Case& which = cases_[i];
      if (setegid(which.caller) != 0 || seteuid(which.caller) != 0) return false;
      const int result = which.operation->call(which.first->c_str(), which.second->c_str());
      outcomes[i] = result == -1 ? errno : 0;
      if (seteuid(0) != 0 || setegid(0) != 0) return false;
      if (outcomes[i] == 0 && which.operation->changes_names && !read_only) make_tree(root, trees++);
    }
    return true;
  }

  const std::vector<Operation> operations_ = operations();
  const std::vector<std::string> paths_ = paths();
  std::vector<Case> cases_;
};

TEST_P(PrecedenceTest, OfErrorsIsThatOfExt4) {
  const std::vector<std::int64_t> expected = outcomes_on(Kind::ext4);
  const std::vector<std::int64_t> found = outcomes_on(Kind::ashlarfs);
  std::map<std::int64_t, int> kinds;
  for (std::size_t i = 0; i < cases().size(); ++i) {
    ++kinds[expected[i]];
    EXPECT_EQ(found[i], expected[i]) << text_of(cases()[i]);
  }
  // The cases are what they are meant to be: each of these errors is met, and not by chance.
  const int met[] = {0,      EPERM, ENOENT, EACCES,       EEXIST,    ENOTDIR, EISDIR,
                     EINVAL, ELOOP, EBUSY,  ENAMETOOLONG, ENOTEMPTY, ENODATA, EOPNOTSUPP};
  for (const int error : met) {
    if (GetParam() && (error == EPERM || error == EISDIR || error == ENOTEMPTY || error == EOPNOTSUPP)) continue;
    EXPECT_GT(kinds[error], 3) << error;
  }
  EXPECT_EQ(kinds[EROFS] > 100, GetParam());
}

std::string mount_name(const testing::TestParamInfo<bool>& info) { return info.param ? "read_only" : "writable"; }

INSTANTIATE_TEST_SUITE_P(Mount, PrecedenceTest, testing::Bool(), mount_name);

}  // namespace
}  // namespace ashlar::posix_test
