// What operations on descriptors answer: every kind of descriptor with every operation, with good arguments and with
// bad ones, by root, the file's owner, and somebody else. Which of several errors comes first POSIX leaves open;
// programs and suites know what the kernel's own filesystems do, so the answers, errors and numbers, are ext4's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): strerrorname_np
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/mount/environment.h"
#include "tests/posix/descriptor_operations.h"
#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

enum class Subject { none, regular, unnamed, directory, fifo, link };
constexpr int kNothingOpen = 900;  // a descriptor that is not
constexpr const char* kSubject = "subject";

struct Descriptor {
  std::string name;
  Subject subject;
  int flags = 0;
  unsigned inode_flags = 0;
  bool flags_first = false;  // before it is opened
  bool removed = false;
};

std::vector<Descriptor> descriptors() {
  using enum Subject;
  return {
      {"file to read", regular, O_RDONLY},
      {"file to write", regular, O_WRONLY},
      {"file", regular, O_RDWR},
      {"file to append", regular, O_RDWR | O_APPEND},
      {"file directly", regular, O_RDWR | O_DIRECT},
      {"path of a file", regular, O_PATH},
      {"removed file", regular, O_RDWR, 0, false, true},
      {"unnamed file", unnamed, O_RDWR | O_TMPFILE},
      {"immutable file, opened before", regular, O_RDWR, FS_IMMUTABLE_FL},
      {"immutable file, to read", regular, O_RDONLY, FS_IMMUTABLE_FL, true},
      {"append-only file, opened before", regular, O_RDWR, FS_APPEND_FL},
      {"append-only file", regular, O_RDWR | O_APPEND, FS_APPEND_FL, true},
      {"append-only file, to read", regular, O_RDONLY, FS_APPEND_FL, true},
      {"directory", directory, O_RDONLY},
      {"path of a directory", directory, O_PATH},
      {"removed directory", directory, O_RDONLY, 0, false, true},
      {"immutable directory", directory, O_RDONLY, FS_IMMUTABLE_FL, true},
      {"append-only directory", directory, O_RDONLY, FS_APPEND_FL, true},
      {"FIFO", fifo, O_RDWR},
      {"FIFO to read", fifo, O_RDONLY},
      {"path of a FIFO", fifo, O_PATH},
      {"path of a link", link, O_PATH | O_NOFOLLOW},
      {"closed", none},
  };
}

struct CallerName {
  const char* name;
  uid_t uid;
};
const CallerName kCallers[] = {{"root", 0}, {"the owner", kAlice.uid}, {"another", kBob.uid}};

void demand(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + strerrorname_np(errno));
}

bool add_inode_flags(int fd, unsigned more, unsigned without = 0) {
  unsigned flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags = (flags & ~without) | more;
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

// The file that operations are tried on, and the descriptor of it.
class Bench {
 public:
  // Until the next time; the last file is left where it is.
  int set_up(const Descriptor& wanted);

 private:
  void clear();
  static void prepare(int fd);

  int fd_ = -1;
};

void Bench::clear() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  if (unlink(kSubject) == 0 || errno == ENOENT) return;
  if (rmdir(kSubject) == 0) return;
  const int fd = open(kSubject, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) {
    demand(add_inode_flags(fd, 0, FS_IMMUTABLE_FL | FS_APPEND_FL), "clearing flags");
    close(fd);
  }
  std::filesystem::remove_all(kSubject);
}

void Bench::prepare(int fd) {
  // Not now: what the kernel asks for is the same whether it sets a time to the current one or brings home that it has
  // been that, and of the latter flags are no hindrance.
  static constexpr std::array<timespec, 2> kLongAgo = {timespec{1, 0}, timespec{1, 0}};
  demand(fsetxattr(fd, kAttribute, "value", 5, 0) == 0 && fsetxattr(fd, kRootsAttribute, "value", 5, 0) == 0 &&
             fchown(fd, kAlice.uid, kAlice.gid) == 0 && futimens(fd, kLongAgo.data()) == 0,
         "preparing");
}

int Bench::set_up(const Descriptor& wanted) {
  clear();
  if (wanted.subject == Subject::none) return kNothingOpen;
  const std::string contents(kFileBytes, 'c');
  const auto fill = [&](int fd) {
    demand(pwrite(fd, contents.data(), contents.size(), 0) == kFileBytes, "writing");
    prepare(fd);
  };
  const char* where = kSubject;
  switch (wanted.subject) {
    case Subject::regular: {
      const int fd = open(kSubject, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      demand(fd >= 0, "creating");
      fill(fd);
      demand(!wanted.flags_first || add_inode_flags(fd, wanted.inode_flags), "setting flags");
      close(fd);
      break;
    }
    case Subject::directory: {
      demand(mkdir(kSubject, 0755) == 0, "mkdir");
      const int fd = open(kSubject, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      prepare(fd);
      demand(!wanted.flags_first || add_inode_flags(fd, wanted.inode_flags), "setting flags");
      close(fd);
      break;
    }
    case Subject::fifo:
      demand(mkfifo(kSubject, 0644) == 0 && chown(kSubject, kAlice.uid, kAlice.gid) == 0, "mkfifo");
      break;
    case Subject::link: demand(symlink("other", kSubject) == 0, "symlink"); break;
    case Subject::unnamed: where = "."; break;
    case Subject::none: break;
  }
  fd_ = open(where, wanted.flags | O_NONBLOCK | O_CLOEXEC, 0644);
  demand(fd_ >= 0, "opening");
  if (wanted.subject == Subject::unnamed) fill(fd_);
  demand(wanted.inode_flags == 0 || wanted.flags_first || add_inode_flags(fd_, wanted.inode_flags), "setting flags");
  if (wanted.removed) demand(unlink(kSubject) == 0 || rmdir(kSubject) == 0, "removing");
  return fd_;
}

// A kind of case whose outcomes differ, and why. Names are given by how they begin.
struct KnownDifference {
  Deviation why;
  std::vector<std::string> operations;
  std::vector<std::string> descriptors;
  std::int64_t on_ext4;
  std::vector<std::int64_t> on_ashlarfs;
};
constexpr std::int64_t kSuccess = 1LL << 62;  // whatever is not an error

std::vector<KnownDifference> known_differences() {
  using enum Deviation;
  const std::vector<std::string> any = {""};
  const std::vector<std::string> files = {"file", "removed file", "unnamed", "immutable file", "append-only file"};
  const std::vector<std::string> flagged = {"immutable", "append-only"};
  const std::vector<std::string> changing_contents = {"write",     "pwrite", "splice to",       "sendfile",
                                                      "fallocate", "copy",   "ftruncate beyond"};
  return {
      {immutable_shows_at_close,
       changing_contents,
       {"immutable file, opened"},
       -EPERM,
       {kSuccess, -EFBIG, -EINVAL, -EOVERFLOW, -EFAULT, -EOPNOTSUPP}},
      {immutable_shows_at_close, {"open again to write", "open again to append"}, flagged, -EPERM, {kSuccess}},
      {immutable_shows_at_close, {"F_SETFL"}, {"append-only"}, -EPERM, {kSuccess, -EINVAL}},
      {immutable_shows_at_close, {"preadv2 with no append", "pwritev2 with no append"}, flagged, -EPERM, {kSuccess}},
      {immutable_shows_at_close, {"mmap"}, {"append-only file"}, -EACCES, {kSuccess}},
      // What was refused since anybody asked last.
      {immutable_shows_at_close, {"syncfs"}, flagged, 0, {-EPERM}},
      {flags_come_last, {"fallocate", "ftruncate beyond"}, {"append-only file"}, -EPERM, {-EFBIG, -EOPNOTSUPP}},
      {flags_come_last,
       {"fsetxattr", "fremovexattr", "futimens", "utimensat", "open again", "mkdirat"},
       flagged,
       -EPERM,
       {-EACCES}},
      {flags_come_last, {"faccessat"}, {"immutable"}, -EPERM, {-EACCES, kSuccess}},
      {flags_come_last,
       {"fsetxattr to nothing 'system.posix_acl_def", "fremovexattr 'system.posix_acl_def"},
       flagged,
       -EPERM,
       {kSuccess}},
      {refused_for_fuse, {"fallocate collapse", "fallocate insert"}, files, 0, {-EOPNOTSUPP}},
      {refused_for_fuse, {"fallocate collapse", "fallocate insert"}, files, -EINVAL, {-EOPNOTSUPP}},
      {refused_for_fuse,
       {"fallocate collapse", "fallocate insert", "fallocate unshare", "fallocate write"},
       files,
       -EFBIG,
       {-EOPNOTSUPP}},
      {refused_for_fuse, {"ioctl FS_IOC_FIEMAP"}, any, -EINVAL, {-EOPNOTSUPP}},
      {refused_for_fuse, {"preadv2 with uncached", "pwritev2 with uncached"}, files, 4096, {-EOPNOTSUPP}},
      {refused_for_fuse, {"mmap synchronously"}, files, -EACCES, {-EOPNOTSUPP}},
      {files_can_be_polled, {"epoll"}, files, -EPERM, {0}},
      {direct_transfers_of_any_bytes,
       {"read little", "write little", "pwrite up to", "pwritev2 with append", "copy", "sendfile", "splice"},
       {"file directly"},
       -EINVAL,
       {kSuccess}},
      {directories_have_other_offsets,
       {"lseek hole", "lseek data"},
       {"directory", "immutable", "append-only"},
       kSuccess,
       {kSuccess, -ENXIO}},
      {directories_have_other_offsets,
       {"lseek before"},
       {"directory", "immutable", "append-only"},
       kSuccess,
       {-EINVAL}},
      {directories_have_other_offsets, {"lseek hole", "lseek data"}, {"removed directory"}, -ENXIO, {kSuccess}},
      {directories_have_other_offsets,
       {"F_SETLK at", "F_OFD_SETLK at", "F_GETLK at", "F_OFD_GETLK at"},
       {"removed directory"},
       -EINVAL,
       {-EBADF, 0}},
      {larger_files, {"lseek set", "lseek current"}, any, -EINVAL, {kSuccess}},
      {larger_files, {"ftruncate", "fallocate", "pwrite", "copy"}, files, -EFBIG, {kSuccess}},
      {unknown_flags_are_refused, {"FS_IOC_SETFLAGS", "FS_IOC_FSSETXATTR"}, any, 0, {-EOPNOTSUPP}},
      {no_generations, {"ioctl FS_IOC_GETVERSION"}, any, 0, {-ENOTTY}},
  };
}

struct Case {
  const Descriptor* descriptor;
  const DescriptorOperation* operation;
  const CallerName* caller;
};

std::string text_of(const Case& which) {
  return which.operation->name + " on " + which.descriptor->name + " by " + which.caller->name;
}

std::string text_of(std::int64_t outcome) {
  return outcome >= 0 ? std::to_string(outcome) : strerrorname_np(static_cast<int>(-outcome));
}

class DescriptorErrorsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(true);
    for (const Descriptor& descriptor : descriptors_) {
      for (const CallerName& caller : kCallers) {
        for (const DescriptorOperation& operation : operations_) {
          if (caller.uid != kAlice.uid || operation.owner_may_differ) {
            cases_.push_back({&descriptor, &operation, &caller});
          }
        }
      }
    }
  }

  // What each case returned, or -errno.
  std::vector<std::int64_t> outcomes_on(Kind kind) {
    const std::unique_ptr<Filesystem> filesystem = Filesystem::make(kind);
    std::filesystem::permissions(filesystem->root().parent_path(), std::filesystem::perms{0755});
    std::filesystem::permissions(filesystem->root(), std::filesystem::perms{0777});
    return outcomes_in_a_process(cases_.size(),
                                 [&](std::span<std::int64_t> outcomes) { return run(filesystem->root(), outcomes); });
  }

  [[nodiscard]] const std::vector<Case>& cases() const { return cases_; }

 private:
  bool run(const std::filesystem::path& root, std::span<std::int64_t> outcomes) {
    static_cast<void>(umask(0));
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGIO, SIG_IGN);
    std::filesystem::current_path(root);
    surroundings_->open_all();
    Bench bench;
    const Descriptor* before = nullptr;
    int fd = -1;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      const auto& [descriptor, operation, caller] = cases_[i];
      if (descriptor != before) fd = bench.set_up(*descriptor);
      before = descriptor;
      static_cast<void>(lseek(fd, 0, SEEK_SET));  // what has no offset needs none
      if (setegid(caller->uid) != 0 || seteuid(caller->uid) != 0) return false;
      const std::int64_t result = operation->call(fd);
      outcomes[i] = result == -1 ? -errno : result;
      if (seteuid(0) != 0 || setegid(0) != 0) return false;
      if (result >= 0 && operation->changes) before = nullptr;
    }
    return true;
  }

  const std::unique_ptr<Surroundings> surroundings_ = std::make_unique<Surroundings>();
  const std::vector<DescriptorOperation> operations_ = descriptor_operations(*surroundings_);
  const std::vector<Descriptor> descriptors_ = descriptors();
  std::vector<Case> cases_;
};

bool begins_with_one_of(const std::string& name, const std::vector<std::string>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const std::string& beginning) { return name.starts_with(beginning); });
}

bool is_outcome(std::int64_t outcome, std::int64_t known) {
  return outcome == known || (known == kSuccess && outcome >= 0);
}

bool explains(const KnownDifference& known, const Case& which, std::int64_t on_ext4, std::int64_t on_ashlarfs) {
  return begins_with_one_of(which.operation->name, known.operations) &&
         begins_with_one_of(which.descriptor->name, known.descriptors) && is_outcome(on_ext4, known.on_ext4) &&
         std::any_of(known.on_ashlarfs.begin(), known.on_ashlarfs.end(),
                     [&](std::int64_t outcome) { return is_outcome(on_ashlarfs, outcome); });
}

TEST_F(DescriptorErrorsTest, AreThoseOfExt4) {
  const std::vector<std::int64_t> expected = outcomes_on(Kind::ext4);
  const std::vector<std::int64_t> found = outcomes_on(Kind::ashlarfs);
  ASSERT_EQ(expected.size(), found.size());
  const std::vector<KnownDifference> known = known_differences();
  std::vector<int> explained(known.size());
  std::map<std::int64_t, int> kinds;
  for (std::size_t i = 0; i < cases().size(); ++i) {
    ++kinds[std::min<std::int64_t>(expected[i], 0)];
    if (found[i] == expected[i]) continue;
    const auto why = std::find_if(known.begin(), known.end(), [&](const KnownDifference& difference) {
      return explains(difference, cases()[i], expected[i], found[i]);
    });
    EXPECT_NE(why, known.end()) << text_of(cases()[i]) << ": " << text_of(found[i]) << " instead of "
                                << text_of(expected[i]);
    if (why != known.end()) ++explained[static_cast<std::size_t>(why - known.begin())];
  }
  // What no longer differs is not to be listed.
  for (std::size_t i = 0; i < known.size(); ++i) EXPECT_GT(explained[i], 0) << known[i].operations.front();
  // The cases are what they are meant to be: each of these errors is met, and not by chance.
  for (const int error :
       {0,      EPERM,  EBADF, EAGAIN, EACCES, EFAULT,  EEXIST,    EXDEV,      ENODEV, ENOTDIR, EISDIR,
        EINVAL, ENOTTY, EFBIG, ESPIPE, ERANGE, ENODATA, EOVERFLOW, EOPNOTSUPP, ENXIO,  E2BIG,   ENOENT}) {
    EXPECT_GT(kinds[-error], 3) << strerrorname_np(error);
  }
}

}  // namespace
}  // namespace ashlar::posix_test
