// Random sequences of operations on AshlarFS and on the kernel's ext4: every result and the trees that they leave must
// be the same. A sequence that differs is shortened before it is shown.
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/mount/environment.h"
#include "tests/posix/filesystem.h"
#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

namespace fs = std::filesystem;

constexpr int kDefaultSequences = 700;   // ASHLAR_MODEL_SEQUENCES for more
constexpr std::size_t kOperations = 24;  // of a sequence

enum class Kinds : unsigned {
  create,
  make_directory,
  make_fifo,
  make_symlink,
  link,
  unlink,
  remove_directory,
  rename,
  exchange,
  no_replace,
  whiteout,
  chmod,
  chown,
  truncate,
  write,
  append,
  punch,
  set_xattr,
  remove_xattr,
  set_time,
  read,
  count
};

struct Operation {
  Kinds kind{};
  std::string first;
  std::string second;
  unsigned number = 0;
  uid_t uid = 0;
};

std::string to_text(const Operation& operation) {
  std::ostringstream text;
  text << "kind " << static_cast<unsigned>(operation.kind) << ' ' << operation.first << ' ' << operation.second << ' '
       << operation.number << " as " << operation.uid;
  return text.str();
}

std::string random_path(std::mt19937& random) {
  constexpr std::array kNames = {"a", "b", "c"};
  std::string path = kNames.at(random() % kNames.size());
  while (random() % 2 == 0 && path.size() < 7) path += std::string("/") + kNames.at(random() % kNames.size());
  return path;
}

std::vector<Operation> random_sequence(std::mt19937& random) {
  constexpr std::array<uid_t, 4> kCallers = {0, 0, 1001, 1002};
  std::vector<Operation> sequence(kOperations);
  for (Operation& operation : sequence) {
    operation.kind = static_cast<Kinds>(random() % static_cast<unsigned>(Kinds::count));
    // Something to work on.
    if (random() % 4 == 0) operation.kind = random() % 2 == 0 ? Kinds::make_directory : Kinds::create;
    operation.first = random_path(random);
    operation.second = random_path(random);
    operation.number = static_cast<unsigned>(random());
    operation.uid = kCallers.at(random() % kCallers.size());
  }
  return sequence;
}

int write_to(const std::string& path, int flags, const Operation& operation, off_t offset) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd < 0) return -1;
  const std::string data(operation.number % 9000, static_cast<char>('a' + operation.number % 26));
  const ssize_t written =
      offset < 0 ? write(fd, data.data(), data.size()) : pwrite(fd, data.data(), data.size(), offset);
  const int error = errno;
  close(fd);
  errno = error;
  return written < 0 ? -1 : static_cast<int>(written);
}

int punch(const std::string& path, const Operation& operation) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -1;
  const int result =
      fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, operation.number % 5000, 1 + operation.number % 7000);
  const int error = errno;
  close(fd);
  errno = error;
  return result;
}

int call(const std::string& root, const Operation& operation) {
  const std::string first = root + "/" + operation.first;
  const std::string second = root + "/" + operation.second;
  const unsigned number = operation.number;
  mode_t mode = number % 010000;
  if ((mode & S_IXGRP) == 0) mode &= ~static_cast<mode_t>(S_ISGID);  // Deviation::setgid_without_execution
  const auto renames = [&](unsigned flags) {
    return renameat2(AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), flags);
  };
  switch (operation.kind) {
    case Kinds::create: return write_to(first, O_WRONLY | O_CREAT | (number % 3 == 0 ? O_EXCL : O_TRUNC), operation, 0);
    case Kinds::make_directory: return mkdir(first.c_str(), 0777);
    case Kinds::make_fifo: return mkfifo(first.c_str(), 0666);
    case Kinds::make_symlink: return symlink(operation.second.c_str(), first.c_str());
    case Kinds::link: return link(first.c_str(), second.c_str());
    case Kinds::unlink: return unlink(first.c_str());
    case Kinds::remove_directory: return rmdir(first.c_str());
    case Kinds::rename: return renames(0);
    case Kinds::exchange: return renames(RENAME_EXCHANGE);
    case Kinds::no_replace: return renames(RENAME_NOREPLACE);
    case Kinds::whiteout: return operation.uid == 0 ? renames(RENAME_WHITEOUT) : 0;
    case Kinds::chmod: return chmod(first.c_str(), mode);
    case Kinds::chown: return lchown(first.c_str(), 1001 + number % 2, 1001 + number / 2 % 2);
    case Kinds::truncate: return truncate(first.c_str(), number % 20'000);
    case Kinds::write: return write_to(first, O_WRONLY, operation, number % 30'000);
    case Kinds::append: return write_to(first, O_WRONLY | O_APPEND, operation, -1);
    case Kinds::punch: return punch(first, operation);
    case Kinds::set_xattr:
      return lsetxattr(first.c_str(), "user.x", second.c_str(), number % 9, number % 5 == 0 ? XATTR_CREATE : 0);
    case Kinds::remove_xattr: return lremovexattr(first.c_str(), "user.x");
    case Kinds::set_time: {
      const std::array<timespec, 2> times = {timespec{number % 1000, number % 7}, timespec{number % 500, 0}};
      return utimensat(AT_FDCWD, first.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
    }
    default: {
      std::array<char, 64> bytes{};
      const int fd = open(first.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
      if (fd < 0) return -1;
      const ssize_t count = read(fd, bytes.data(), bytes.size());
      const int error = errno;
      close(fd);
      errno = error;
      return static_cast<int>(count);
    }
  }
}

// The result of an operation as its caller: a number, or minus an errno.
int run_as_caller(const std::string& root, const Operation& operation) {
  EXPECT_EQ(setegid(operation.uid), 0);
  EXPECT_EQ(seteuid(operation.uid), 0);
  errno = 0;
  const int result = call(root, operation);
  const int error = errno;
  EXPECT_EQ(seteuid(0), 0);
  EXPECT_EQ(setegid(0), 0);
  return result < 0 ? -error : result;
}

// All that can be seen of a tree, in lines.
std::string describe(const fs::path& root) {
  std::vector<std::string> lines;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    struct stat status {};
    EXPECT_EQ(lstat(entry.path().c_str(), &status), 0);
    std::ostringstream line;
    line << entry.path().lexically_relative(root).string() << " mode " << std::oct << status.st_mode << std::dec
         << " links " << status.st_nlink << " owner " << status.st_uid << ':' << status.st_gid << " device "
         << status.st_rdev;
    if (!S_ISDIR(status.st_mode)) line << " size " << status.st_size;
    if (status.st_mtim.tv_sec < 1000) line << " modified " << status.st_mtim.tv_sec;
    if (S_ISLNK(status.st_mode)) line << " to " << fs::read_symlink(entry.path()).string();
    if (S_ISREG(status.st_mode)) line << " digest " << mount_test::digest_of(entry.path());
    std::array<char, 64> value{};
    const ssize_t size = lgetxattr(entry.path().c_str(), "user.x", value.data(), value.size());
    if (size >= 0) line << " x=" << std::string(value.data(), static_cast<std::size_t>(size));
    lines.push_back(line.str());
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

class Comparison {
 public:
  Comparison() : expected_(Filesystem::make(Kind::ext4)), actual_(Filesystem::make(Kind::ashlarfs)) {
    for (const auto* filesystem : {expected_.get(), actual_.get()}) {
      fs::permissions(filesystem->root(), fs::perms::all);
      fs::permissions(filesystem->root().parent_path(), fs::perms::owner_all | fs::perms::others_exec);
    }
  }

  // Empty, or what differed.
  std::string run(const std::vector<Operation>& sequence) {
    const std::string name = "/run" + std::to_string(++runs_);
    const std::string left = expected_->root().string() + name;
    const std::string right = actual_->root().string() + name;
    for (const std::string& root : {left, right}) {
      EXPECT_EQ(mkdir(root.c_str(), 0777), 0);
    }
    std::string difference;
    for (const Operation& operation : sequence) {
      const int wanted = run_as_caller(left, operation);
      const int found = run_as_caller(right, operation);
      if (wanted == found) continue;
      difference = to_text(operation) + ": ext4 " + std::to_string(wanted) + ", here " + std::to_string(found);
      break;
    }
    if (difference.empty()) {
      const std::string wanted = describe(left);
      const std::string found = describe(right);
      if (wanted != found) difference = "ext4's tree:\n" + wanted + "here:\n" + found;
    }
    fs::remove_all(left);
    fs::remove_all(right);
    return difference;
  }

  // The same difference (or another) from fewer operations.
  std::vector<Operation> shrink(std::vector<Operation> sequence) {
    for (std::size_t i = sequence.size(); i > 0; --i) {
      std::vector<Operation> shorter = sequence;
      shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i - 1));
      if (!run(shorter).empty()) sequence = std::move(shorter);
    }
    return sequence;
  }

 private:
  std::unique_ptr<Filesystem> expected_;
  std::unique_ptr<Filesystem> actual_;
  int runs_ = 0;
};

TEST(ModelTest, RandomSequencesAsOnExt4) {
  ASHLAR_NEEDS_MOUNTING(true);
  static_cast<void>(umask(022));
  ASSERT_EQ(setgroups(0, nullptr), 0);
  const char* wanted = std::getenv("ASHLAR_MODEL_SEQUENCES");
  const int sequences = wanted != nullptr ? std::atoi(wanted) : kDefaultSequences;
  Comparison comparison;
  for (int i = 0; i < sequences; ++i) {
    std::mt19937 random(static_cast<unsigned>(i));
    const std::vector<Operation> sequence = random_sequence(random);
    if (comparison.run(sequence).empty()) continue;
    const std::vector<Operation> shortest = comparison.shrink(sequence);
    std::string text;
    for (const Operation& operation : shortest) text += to_text(operation) + "\n";
    FAIL() << "sequence " << i << ":\n" << text << comparison.run(shortest);
  }
}

}  // namespace
}  // namespace ashlar::posix_test
