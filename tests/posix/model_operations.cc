#include "tests/posix/model_operations.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>  // NOLINT(modernize-deprecated-headers): renameat2
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace ashlar::posix_test {
namespace {

constexpr std::array<uid_t, Actor::kActors> kUsers = {0, 0, 1001, 1002};
constexpr std::size_t kMaxRead = 64;

std::uint64_t digest_of(std::string_view bytes) { return std::hash<std::string_view>()(bytes); }

// Closes and keeps errno.
Outcome outcome_and_close(int fd, std::int64_t result, std::uint64_t seen = 0) {
  const int error = errno;
  if (fd >= 0) close(fd);
  return {result < 0 ? -error : result, result < 0 ? 0 : seen};
}

Outcome outcome_of(std::int64_t result) { return {result < 0 ? -errno : result, 0}; }

int open_quietly(const std::string& path, int flags) {
  return open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666);
}

std::string data_of(const Operation& operation) {
  return std::string(operation.number % 9000, static_cast<char>('a' + operation.number % 26));
}

ssize_t write_at(int fd, const Operation& operation, off_t offset) {
  const std::string data = data_of(operation);
  return offset < 0 ? write(fd, data.data(), data.size()) : pwrite(fd, data.data(), data.size(), offset);
}

// ext4 and AshlarFS know these; the numbers are small so that holes and ends are met.
int allocate(int fd, unsigned number) {
  constexpr std::array kModes = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  return fallocate(fd, kModes.at(number % kModes.size()), number / 5 % 9000, 1 + number / 7 % 12'000);
}

Outcome read_at(int fd, off_t offset) {
  std::array<char, kMaxRead> bytes{};
  const ssize_t count =
      offset < 0 ? read(fd, bytes.data(), bytes.size()) : pread(fd, bytes.data(), bytes.size(), offset);
  if (count < 0) return outcome_of(-1);
  return {count, digest_of({bytes.data(), static_cast<std::size_t>(count)})};
}

std::string all_of(int fd) {
  std::string all;
  std::array<char, 16384> bytes{};
  for (ssize_t count = 0; (count = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(all.size()))) > 0;) {
    all.append(bytes.data(), static_cast<std::size_t>(count));
  }
  return all;
}

// Where holes lie is the filesystem's business; that they hold zeros, and that the end is a hole, is not.
Outcome seek(int fd, unsigned number) {
  const off_t from = number % 20'000;
  const off_t data = lseek(fd, from, SEEK_DATA);
  const int data_error = data < 0 ? errno : 0;
  const off_t hole = lseek(fd, from, SEEK_HOLE);
  const int hole_error = hole < 0 ? errno : 0;
  if (data_error != 0 && data_error != ENXIO) return {-data_error, 0};
  if (hole_error != 0) return {-hole_error, 0};
  const std::string all = all_of(fd);
  const auto end = static_cast<off_t>(all.size());
  const std::string_view skipped = std::string_view(all).substr(
      static_cast<std::size_t>(std::min(from, end)), static_cast<std::size_t>((data < 0 ? end : data) - from));
  const bool zeros = skipped.find_first_not_of('\0') == std::string_view::npos;
  return {zeros && hole >= from && hole <= end ? 1 : 0, 0};
}

// A valid access control list with a named user.
std::string list_of(unsigned number) {
  std::string value;
  const auto append = [&value](std::uint16_t tag, unsigned permissions, std::uint32_t id) {
    const posix_acl_xattr_entry entry{tag, static_cast<std::uint16_t>(permissions), id};
    value.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  };
  const posix_acl_xattr_header header{POSIX_ACL_XATTR_VERSION};
  value.append(reinterpret_cast<const char*>(&header), sizeof header);
  enum Tag : std::uint16_t { owner = 1, user = 2, group = 4, mask = 16, other = 32 };
  constexpr std::uint32_t kNobody = ~0U;
  append(owner, number % 8, kNobody);
  append(user, number / 8 % 8, 1001 + number % 2);
  append(group, number / 64 % 8, kNobody);
  append(mask, number / 512 % 8, kNobody);
  append(other, number / 4096 % 8, kNobody);
  return value;
}
const char* list_name(unsigned number) {
  return number % 3 == 0 ? "system.posix_acl_default" : "system.posix_acl_access";
}

Outcome list(const std::string& path) {
  DIR* const stream = opendir(path.c_str());
  if (stream == nullptr) return outcome_of(-1);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream)) names.push_back(entry->d_name + std::to_string(entry->d_type));
  closedir(stream);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += name + "/";
  return {static_cast<std::int64_t>(names.size()), digest_of(all)};
}

Outcome copy(const std::string& from, const std::string& to, unsigned number) {
  const int source = open_quietly(from, O_RDONLY);
  if (source < 0) return outcome_of(-1);
  const int target = open_quietly(to, O_WRONLY);
  if (target < 0) return outcome_and_close(source, -1);
  auto source_offset = static_cast<off64_t>(number % 5000);
  auto target_offset = static_cast<off64_t>(number / 3 % 12'000);
  const ssize_t copied = copy_file_range(source, &source_offset, target, &target_offset, number / 11 % 9000, 0);
  const Outcome outcome = outcome_and_close(source, copied);
  close(target);
  return outcome;
}

Outcome write_mapped(const std::string& path, const Operation& operation) {
  const int fd = open_quietly(path, O_RDWR);
  if (fd < 0) return outcome_of(-1);
  struct stat status {};
  const std::string data = data_of(operation);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return outcome_and_close(fd, 0);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0 || data.empty()) return outcome_and_close(fd, 0);
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return outcome_and_close(fd, -1);
  const std::size_t offset = operation.number / 13 % size;
  data.copy(static_cast<char*>(memory) + offset, size - offset);
  munmap(memory, size);
  return outcome_and_close(fd, 1);
}

// One process's side of one filesystem.
class Side {
 public:
  Side() { held_.fill(-1); }

  void begin(std::string root) {
    release_all();
    root_ = std::move(root);
  }

  [[nodiscard]] Outcome perform(const Operation& operation) {
    return operation.act < Act::hold ? by_name(operation) : on_held(operation);
  }

  [[nodiscard]] Outcome finish() {
    std::ostringstream text;
    for (const int fd : held_) {
      struct stat status {};
      if (fd < 0 || fstat(fd, &status) != 0) continue;
      text << std::oct << status.st_mode << ' ' << status.st_nlink << ' ' << status.st_uid << ' ' << status.st_gid;
      if (S_ISREG(status.st_mode)) text << ' ' << status.st_size << ' ' << all_of(fd);
      text << '\n';
    }
    release_all();
    return {1, digest_of(text.str())};
  }

 private:
  void release_all() {
    for (int& fd : held_) {
      if (fd >= 0) close(fd);
      fd = -1;
    }
  }
  [[nodiscard]] std::string path(const std::array<char, 16>& name) const { return root_ + "/" + name.data(); }

  [[nodiscard]] Outcome opened(const std::string& path, int flags, const Operation& operation, off_t offset) const {
    const int fd = open_quietly(path, flags);
    return outcome_and_close(fd, fd < 0 ? -1 : write_at(fd, operation, offset));
  }

  // Names and what they lead to.
  [[nodiscard]] Outcome by_name(const Operation& operation) const {
    const std::string first = path(operation.first);
    const std::string second = path(operation.second);
    const unsigned number = operation.number;
    const auto renames = [&](unsigned flags) {
      return outcome_of(renameat2(AT_FDCWD, first.c_str(), AT_FDCWD, second.c_str(), flags));
    };
    switch (operation.act) {
      case Act::create: return opened(first, O_WRONLY | O_CREAT | (number % 3 == 0 ? O_EXCL : O_TRUNC), operation, 0);
      case Act::make_directory: return outcome_of(mkdir(first.c_str(), 0777));
      case Act::make_fifo: return outcome_of(mkfifo(first.c_str(), 0666));
      case Act::make_symlink: return outcome_of(symlink(operation.second.data(), first.c_str()));
      case Act::link: return outcome_of(::link(first.c_str(), second.c_str()));
      case Act::unlink: return outcome_of(::unlink(first.c_str()));
      case Act::remove_directory: return outcome_of(rmdir(first.c_str()));
      case Act::rename: return renames(0);
      case Act::exchange: return renames(RENAME_EXCHANGE);
      case Act::no_replace: return renames(RENAME_NOREPLACE);
      case Act::whiteout: return geteuid() == 0 ? renames(RENAME_WHITEOUT) : Outcome{};
      case Act::write: return opened(first, O_WRONLY, operation, number % 30'000);
      case Act::append: return opened(first, O_WRONLY | O_APPEND, operation, -1);
      case Act::list: return posix_test::list(first);
      case Act::copy: return posix_test::copy(first, second, number);
      case Act::write_mapped: return posix_test::write_mapped(first, operation);
      default: return of_attributes(operation, first);
    }
  }

  [[nodiscard]] static Outcome of_attributes(const Operation& operation, const std::string& first) {
    const unsigned number = operation.number;
    switch (operation.act) {
      case Act::chmod: return outcome_of(::chmod(first.c_str(), number % 010000));
      case Act::chown: return outcome_of(lchown(first.c_str(), 1001 + number % 2, 1001 + number / 2 % 2));
      case Act::truncate: return outcome_of(::truncate(first.c_str(), number % 20'000));
      case Act::set_xattr: {
        const std::string name = number % 4 == 0 ? "user.y" : "user.x";
        const std::string value(number % 40, 'v');
        return outcome_of(
            lsetxattr(first.c_str(), name.c_str(), value.data(), value.size(), number % 5 == 0 ? XATTR_CREATE : 0));
      }
      case Act::remove_xattr: return outcome_of(lremovexattr(first.c_str(), "user.x"));
      case Act::set_list: {
        const std::string value = list_of(number);
        return outcome_of(setxattr(first.c_str(), list_name(number), value.data(), value.size(), 0));
      }
      case Act::remove_list: return outcome_of(removexattr(first.c_str(), list_name(number)));
      case Act::set_time: {
        const std::array<timespec, 2> times = {timespec{number % 1000, number % 7}, timespec{number % 500, 0}};
        return outcome_of(utimensat(AT_FDCWD, first.c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
      }
      case Act::allocate: {
        const int fd = open_quietly(first, O_RDWR);
        return outcome_and_close(fd, fd < 0 ? -1 : posix_test::allocate(fd, number));
      }
      default: {
        const int fd = open_quietly(first, O_RDONLY);
        if (fd < 0) return outcome_of(-1);
        const Outcome outcome = read_at(fd, -1);
        close(fd);
        return outcome;
      }
    }
  }

  [[nodiscard]] Outcome on_held(const Operation& operation) {
    const unsigned number = operation.number;
    int& fd = held_.at(number % held_.size());
    if (operation.act == Act::hold || operation.act == Act::hold_unnamed) {
      constexpr std::array kFlags = {O_RDWR, O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_CREAT};
      const int flags = operation.act == Act::hold ? kFlags.at(number / 3 % kFlags.size()) : O_TMPFILE | O_RDWR;
      const int opened = open_quietly(path(operation.first), flags);
      if (opened < 0) return outcome_of(-1);
      if (fd >= 0) close(fd);
      fd = opened;
      return {};
    }
    if (fd < 0) return {};
    const std::string second = path(operation.second);
    switch (operation.act) {
      case Act::release: return outcome_of(close(std::exchange(fd, -1)));
      case Act::name_held: {
        const std::string itself = "/proc/self/fd/" + std::to_string(fd);
        return outcome_of(linkat(AT_FDCWD, itself.c_str(), AT_FDCWD, second.c_str(), AT_SYMLINK_FOLLOW));
      }
      case Act::write_held: return outcome_of(write_at(fd, operation, number % 30'000));
      case Act::append_held: return outcome_of(write_at(fd, operation, -1));
      case Act::read_held: return read_at(fd, number % 20'000);
      case Act::truncate_held: return outcome_of(ftruncate(fd, number % 20'000));
      case Act::allocate_held: return outcome_of(posix_test::allocate(fd, number));
      case Act::chmod_held: return outcome_of(fchmod(fd, number % 010000));
      default: return is_regular(fd) ? seek(fd, number) : Outcome{};
    }
  }

  [[nodiscard]] static bool is_regular(int fd) {
    struct stat status {};
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
  }

  std::string root_;
  std::array<int, Actor::kHeld> held_{};
};

}  // namespace

struct Actor::Message {
  enum class Kind { begin, perform, finish, end };
  Kind kind{};
  Operation operation;
  std::array<char, 200> expected{};
  std::array<char, 200> actual{};
};

class Actor::Process {
 public:
  [[nodiscard]] Both answer(const Message& message) {
    switch (message.kind) {
      case Message::Kind::begin:
        expected_.begin(message.expected.data());
        actual_.begin(message.actual.data());
        return {};
      case Message::Kind::perform: return {expected_.perform(message.operation), actual_.perform(message.operation)};
      default: return {expected_.finish(), actual_.finish()};
    }
  }

 private:
  Side expected_;
  Side actual_;
};

Actor::Actor(unsigned number) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
  process_ = fork();
  if (process_ != 0) {
    close(ends[1]);
    socket_ = ends[0];
    return;
  }
  close(ends[0]);
  const uid_t user = kUsers.at(number);
  if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(1);
  umask(022);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Process process;
  for (Message message; recv(ends[1], &message, sizeof message, 0) == sizeof message;) {
    if (message.kind == Message::Kind::end) break;
    const Both both = process.answer(message);
    if (send(ends[1], &both, sizeof both, 0) != sizeof both) break;
  }
  _exit(0);
}

Actor::~Actor() {
  // Closing is not enough: the callers made later have this end, too.
  Message message;
  message.kind = Message::Kind::end;
  static_cast<void>(send(socket_, &message, sizeof message, MSG_NOSIGNAL));
  close(socket_);
  waitpid(process_, nullptr, 0);
}

Actor::Both Actor::ask(const Message& message) {
  Both both;
  if (send(socket_, &message, sizeof message, 0) != sizeof message ||
      recv(socket_, &both, sizeof both, 0) != sizeof both) {
    throw std::runtime_error("a process of the model check is gone");
  }
  return both;
}

void Actor::begin(const std::string& expected, const std::string& actual) {
  Message message;
  message.kind = Message::Kind::begin;
  expected.copy(message.expected.data(), message.expected.size() - 1);
  actual.copy(message.actual.data(), message.actual.size() - 1);
  static_cast<void>(ask(message));
}

Actor::Both Actor::perform(const Operation& operation) {
  Message message;
  message.kind = Message::Kind::perform;
  message.operation = operation;
  return ask(message);
}

Actor::Both Actor::finish() {
  Message message;
  message.kind = Message::Kind::finish;
  return ask(message);
}

}  // namespace ashlar::posix_test
