// Locks, mappings, and what moves contents between two descriptors.
#include "tests/posix/descriptor_operations.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

namespace ashlar::posix_test {
namespace {

int drain(int pipe) {
  std::array<char, 256> bytes{};
  const int error = errno;
  while (read(pipe, bytes.data(), bytes.size()) > 0) {
  }
  errno = error;
  return 0;
}

void add_locks(OperationTable& table) {
  for (const int what : {LOCK_SH, LOCK_EX, LOCK_UN, 0, 64, LOCK_SH | LOCK_EX}) {
    table.changes("flock " + std::to_string(what), [=](int fd) { return flock(fd, what | LOCK_NB); });
  }
  struct Lock {
    const char* name;
    short type;
    short whence;
    off_t start;
    off_t length;
    pid_t pid = 0;
  };
  constexpr Lock kLocks[] = {{"to read", F_RDLCK, SEEK_SET, 0, 0},     {"to write", F_WRLCK, SEEK_SET, 0, 10},
                             {"nothing", F_UNLCK, SEEK_SET, 0, 0},     {"of no type", 77, SEEK_SET, 0, 0},
                             {"from nowhere", F_RDLCK, 77, 0, 0},      {"at the end", F_WRLCK, SEEK_END, -1, 1},
                             {"below 0", F_RDLCK, SEEK_SET, -1, 1},    {"backwards below 0", F_RDLCK, SEEK_SET, 5, -6},
                             {"too far", F_WRLCK, SEEK_SET, kMost, 2}, {"of somebody", F_WRLCK, SEEK_SET, 0, 1, 1}};
  const std::pair<const char*, int> commands[] = {
      {"F_SETLK ", F_SETLK}, {"F_GETLK ", F_GETLK}, {"F_OFD_SETLK ", F_OFD_SETLK}, {"F_OFD_GETLK ", F_OFD_GETLK}};
  for (const auto& [name, command] : commands) {
    for (const Lock& lock : kLocks) {
      table.changes(std::string(name) + lock.name, [lock, command = command](int fd) {
        struct flock request {};
        request.l_type = lock.type;
        request.l_whence = lock.whence;
        request.l_start = lock.start;
        request.l_len = lock.length;
        request.l_pid = lock.pid;
        return fcntl(fd, command, &request);
      });
    }
  }
  for (const int type : {F_RDLCK, F_WRLCK, F_UNLCK, 77}) {
    table.changes("F_SETLEASE " + std::to_string(type), [=](int fd) { return fcntl(fd, F_SETLEASE, type); });
  }
  table.asks("F_GETLEASE", [](int fd) { return fcntl(fd, F_GETLEASE); });
  for (const int flags : {0, O_APPEND, O_DIRECT, O_NOATIME, O_APPEND | O_DIRECT | O_NOATIME}) {
    table.changes("F_SETFL " + std::to_string(flags), [=](int fd) { return fcntl(fd, F_SETFL, flags); });
  }
  table.changes("F_NOTIFY", [](int fd) { return fcntl(fd, F_NOTIFY, DN_CREATE); });
  table.changes("F_ADD_SEALS", [](int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_GROW); });
  table.changes("F_SET_RW_HINT unknown", [](int fd) {
    std::uint64_t hint = 77;
    return fcntl(fd, F_SET_RW_HINT, &hint);
  });
  table.asks("poll", [](int fd) {
    pollfd wanted{fd, POLLIN | POLLOUT, 0};
    return poll(&wanted, 1, 0) < 0 ? -1 : wanted.revents;
  });
  table.asks("epoll", [&with = table.with()](int fd) {
    epoll_event event{};
    if (epoll_ctl(with.epoll, EPOLL_CTL_ADD, fd, &event) != 0) return -1;
    return epoll_ctl(with.epoll, EPOLL_CTL_DEL, fd, nullptr);
  });
}

void add_mappings(OperationTable& table) {
  struct Mapping {
    const char* name;
    int protection;
    int flags;
    std::size_t length;
    off_t offset;
  };
  constexpr std::size_t kLength = 4096;
  constexpr off_t kLastPage = kMost & ~off_t{4095};
  constexpr int kBoth = PROT_READ | PROT_WRITE;
  constexpr Mapping kMappings[] = {{"nothing", PROT_READ, MAP_SHARED, 0, 0},
                                   {"from the middle of a page", PROT_READ, MAP_SHARED, kLength, 100},
                                   {"to read", PROT_READ, MAP_SHARED, kLength, 0},
                                   {"without rights", PROT_NONE, MAP_SHARED, kLength, 0},
                                   {"to write", PROT_WRITE, MAP_SHARED, kLength, 0},
                                   {"to read and write", kBoth, MAP_SHARED, kLength, 0},
                                   {"privately", kBoth, MAP_PRIVATE, kLength, 0},
                                   {"to run", PROT_READ | PROT_EXEC, MAP_PRIVATE, kLength, 0},
                                   {"neither shared nor private", PROT_READ, 0, kLength, 0},
                                   {"beyond the end", PROT_READ, MAP_SHARED, kLength, 1 << 20},
                                   {"far beyond the end", PROT_READ, MAP_SHARED, kLength, kLastPage},
                                   {"beyond all offsets", PROT_READ, MAP_SHARED, 4 * kLength, -4096},
                                   {"synchronously", kBoth, MAP_SHARED_VALIDATE | MAP_SYNC, kLength, 0},
                                   {"checked", kBoth, MAP_SHARED_VALIDATE, kLength, 0},
                                   {"in an unknown way", kBoth, MAP_SHARED_VALIDATE | (1 << 28), kLength, 0}};
  for (const Mapping& mapping : kMappings) {
    table.asks(std::string("mmap ") + mapping.name, [=](int fd) {
      void* const at = mmap(nullptr, mapping.length, mapping.protection, mapping.flags, fd, mapping.offset);
      return at == MAP_FAILED ? -1 : munmap(at, mapping.length);
    });
  }
}

void add_copies(OperationTable& table) {
  struct Copy {
    const char* name;
    off64_t from;
    off64_t to;
    std::size_t length;
    unsigned flags = 0;
  };
  constexpr Copy kCopies[] = {
      {"plain", 0, 0, 100},          {"nothing", 0, 0, 0},         {"with flags", 0, 0, 100, 1},
      {"from below 0", -1, 0, 100},  {"to below 0", 0, -1, 100},   {"from beyond the end", 1 << 20, 0, 100},
      {"too far", 0, kMost - 5, 10}, {"far", 0, kBeyondExt4, 100}, {"all", 0, 0, ~std::size_t{0}}};
  for (const Copy& copy : kCopies) {
    const auto copies = [copy](int from, int to) {
      off64_t source = copy.from;
      off64_t target = copy.to;
      return copy_file_range(from, &source, to, &target, copy.length, copy.flags);
    };
    table.changes(std::string("copy in ") + copy.name,
                  [=, &with = table.with()](int fd) { return copies(with.reader, fd); });
    table.changes(std::string("copy within ") + copy.name, [=](int fd) { return copies(fd, fd); });
    if (copy.to > kFileBytes) continue;  // the other file is to stay as it is
    table.asks(std::string("copy out ") + copy.name,
               [=, &with = table.with()](int fd) { return copies(fd, with.file); });
  }
  const std::pair<const char*, const int*> targets[] = {
      {"append", &table.with().appender}, {"reader", &table.with().reader}, {"directory", &table.with().directory},
      {"memory", &table.with().memory},   {"null", &table.with().null},     {"pipe", &table.with().pipe[1]}};
  for (const auto& [name, target] : targets) {
    table.asks(std::string("copy to ") + name, [&with = table.with(), target = target](int fd) {
      const ssize_t result = copy_file_range(fd, nullptr, *target, nullptr, 10, 0);
      drain(with.pipe[0]);
      return result;
    });
    if (target == &table.with().appender) continue;
    table.changes(std::string("copy from ") + name,
                  [target = target](int fd) { return copy_file_range(*target, nullptr, fd, nullptr, 0, 0); });
  }
  table.changes("copy within, overlapping", [](int fd) {
    off64_t source = 0;
    off64_t target = 50;
    return copy_file_range(fd, &source, fd, &target, 100, 0);
  });
  table.changes("copy beyond the limit", [&with = table.with()](int fd) {
    off64_t source = 0;
    off64_t target = kBeyondLimit;
    return limited([&] { return copy_file_range(with.reader, &source, fd, &target, 100, 0); });
  });
}

void add_streams(OperationTable& table) {
  table.asks("sendfile to nothing", [&with = table.with()](int fd) { return sendfile(with.null, fd, nullptr, 100); });
  table.asks("sendfile from below 0", [&with = table.with()](int fd) {
    off_t offset = -1;
    return sendfile(with.null, fd, &offset, 100);
  });
  table.asks("sendfile from the end", [&with = table.with()](int fd) {
    off_t offset = kMost;
    return sendfile(with.null, fd, &offset, 100);
  });
  table.asks("sendfile to append",
             [&with = table.with()](int fd) { return sendfile(with.appender, fd, nullptr, 100); });
  table.changes("sendfile", [&with = table.with()](int fd) {
    off_t offset = 0;
    return sendfile(fd, with.reader, &offset, 100);
  });
  table.changes("sendfile from a directory",
                [&with = table.with()](int fd) { return sendfile(fd, with.directory, nullptr, 100); });
  for (const off64_t start : {off64_t{0}, off64_t{-1}, off64_t{kFileBytes}}) {
    table.asks("splice from " + std::to_string(start), [=, &with = table.with()](int fd) {
      off64_t offset = start;
      const ssize_t result = splice(fd, &offset, with.pipe[1], nullptr, 100, SPLICE_F_NONBLOCK);
      drain(with.pipe[0]);
      return result;
    });
    table.changes("splice to " + std::to_string(start), [=, &with = table.with()](int fd) {
      off64_t offset = start;
      if (write(with.pipe[1], "bytes", 5) != 5) return ssize_t{-77};
      const ssize_t result = splice(with.pipe[0], nullptr, fd, &offset, 5, SPLICE_F_NONBLOCK);
      drain(with.pipe[0]);
      return result;
    });
  }
}

}  // namespace

void add_sharing_operations(OperationTable& table) {
  add_locks(table);
  add_mappings(table);
  add_copies(table);
  add_streams(table);
}

}  // namespace ashlar::posix_test
