// Attributes, inode flags and other ioctls, and names that are found through a descriptor.
#include "tests/posix/descriptor_operations.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace ashlar::posix_test {
namespace {

void add_attributes(OperationTable& table) {
  table.asks("fstat", [](int fd) {
    struct stat status {};
    return fstat(fd, &status);
  });
  table.asks("fstatfs", [](int fd) {
    struct statfs status {};
    return fstatfs(fd, &status);
  });
  table.asks("statx with unknown flags", [](int fd) {
    struct statx status {};
    return statx(fd, "", AT_EMPTY_PATH | 0x80000, STATX_ALL, &status);
  });
  table.asks("statx of what is to come", [](int fd) {
    struct statx status {};
    return statx(fd, "", AT_EMPTY_PATH, STATX__RESERVED, &status);
  });
  for (const mode_t mode : {0600U, 06755U, 0170000U}) {
    table.changes("fchmod " + std::to_string(mode), [=](int fd) { return fchmod(fd, mode); });
  }
  constexpr uid_t kNobody = ~uid_t{0};
  constexpr uid_t kOther = 1777;
  table.changes("fchown", [=](int fd) { return fchown(fd, kOther, kOther); });
  table.changes("fchown of the group", [=](int fd) { return fchown(fd, kNobody, kOther); });
  table.changes("fchown to the same", [=](int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return -1;
    return fchown(fd, status.st_uid, status.st_gid);
  });
  table.changes("fchown of nothing", [=](int fd) { return fchown(fd, kNobody, kNobody); });
  table.changes("fchownat of itself", [=](int fd) { return fchownat(fd, "", kOther, kOther, AT_EMPTY_PATH); });
  const std::pair<const char*, std::array<timespec, 2>> times[] = {
      {"given", {timespec{1, 0}, timespec{2, 0}}},
      {"now", {timespec{0, UTIME_NOW}, timespec{0, UTIME_NOW}}},
      {"one of them", {timespec{0, UTIME_OMIT}, timespec{2, 0}}},
      {"one now", {timespec{0, UTIME_OMIT}, timespec{0, UTIME_NOW}}},
      {"omitted", {timespec{0, UTIME_OMIT}, timespec{0, UTIME_OMIT}}},
      {"a second and more", {timespec{1, 1'000'000'000}, timespec{0, 0}}},
      {"below 0", {timespec{0, UTIME_OMIT}, timespec{1, -1}}}};
  for (const auto& [name, pair] : times) {
    table.changes(std::string("futimens ") + name, [pair = pair](int fd) { return futimens(fd, pair.data()); });
  }
  table.changes("futimens of nothing", [](int fd) { return futimens(fd, nullptr); });
  table.changes("utimensat of itself", [](int fd) { return utimensat(fd, "", nullptr, AT_EMPTY_PATH); });
}

void add_extended_attributes(OperationTable& table) {
  // system.posix_acl_access of mode 0640, as acl(5) and the kernel have it: a version, then tag, permissions, and ID.
  static constexpr std::uint32_t kNoId = ~0U;
  struct Entry {
    std::uint16_t tag;
    std::uint16_t permissions;
    std::uint32_t id;
  };
  struct List {
    std::uint32_t version;
    Entry entries[3];
  };
  static constexpr List kList{2, {{1, 6, kNoId}, {4, 4, kNoId}, {32, 0, kNoId}}};
  const std::string names[] = {kAttribute,
                               "user.none",
                               kRootsAttribute,
                               "trusted.none",
                               "security.none",
                               "system.none",
                               "system.posix_acl_access",
                               "system.posix_acl_default",
                               "nothing.at.all",
                               "plain",
                               "user.",
                               "",
                               "user." + std::string(250, 'n'),
                               "user." + std::string(251, 'n')};
  for (const std::string& name : names) {
    const std::string text = name.size() < 100 ? "'" + name + "'" : "with a name of " + std::to_string(name.size());
    const bool list = name.starts_with("system.posix_acl");
    table.changes("fsetxattr " + text, [=](int fd) {
      const void* const value = list ? static_cast<const void*>(&kList) : "other";
      return fsetxattr(fd, name.c_str(), value, list ? sizeof kList : 5, 0);
    });
    for (const int flag : {XATTR_CREATE, XATTR_REPLACE}) {
      if (!name.starts_with("user.")) continue;
      table.changes((flag == XATTR_CREATE ? "fsetxattr to create " : "fsetxattr to replace ") + text,
                    [=](int fd) { return fsetxattr(fd, name.c_str(), &kList, sizeof kList, flag); });
    }
    table.changes("fsetxattr to nothing " + text, [=](int fd) { return fsetxattr(fd, name.c_str(), "", 0, 0); });
    table.asks("fgetxattr " + text,
               [=, &with = table.with()](int fd) { return fgetxattr(fd, name.c_str(), with.buffer.data(), 1000); });
    table.changes("fremovexattr " + text, [=](int fd) { return fremovexattr(fd, name.c_str()); });
  }
  const auto sets = [&table](const char* name, const char* attribute, std::size_t size, int flags) {
    table.changes(std::string("fsetxattr ") + name, [=, &with = table.with()](int fd) {
      return fsetxattr(fd, attribute, with.buffer.data(), size, flags);
    });
  };
  sets("too much", kAttribute, 65537, 0);
  sets("with unknown flags", kAttribute, 5, 0x10);
  sets("to create and replace", kAttribute, 5, XATTR_CREATE | XATTR_REPLACE);
  sets("a bad list", "system.posix_acl_access", 7, 0);
  sets("a list of zeros", "system.posix_acl_access", 12, 0);
  sets("bad capabilities", "security.capability", 5, 0);
  table.changes("fsetxattr from nowhere", [](int fd) { return fsetxattr(fd, kAttribute, bad_address(), 5, 0); });
  table.asks("fgetxattr of the size", [](int fd) { return fgetxattr(fd, kAttribute, nullptr, 0); });
  table.asks("fgetxattr too little",
             [&with = table.with()](int fd) { return fgetxattr(fd, kAttribute, with.buffer.data(), 1); });
  table.asks("fgetxattr to nowhere", [](int fd) { return fgetxattr(fd, kAttribute, bad_address(), 100); });
  table.asks("flistxattr", [&with = table.with()](int fd) { return flistxattr(fd, with.buffer.data(), 1000); });
  table.asks("flistxattr of the size", [](int fd) { return flistxattr(fd, nullptr, 0); });
  table.asks("flistxattr too little", [&with = table.with()](int fd) { return flistxattr(fd, with.buffer.data(), 1); });
}

void add_flags(OperationTable& table) {
  table.asks("FS_IOC_GETFLAGS", [](int fd) {
    unsigned flags = 0;
    return ioctl(fd, FS_IOC_GETFLAGS, &flags);
  });
  table.asks("FS_IOC_GETFLAGS to nowhere", [](int fd) { return ioctl(fd, FS_IOC_GETFLAGS, bad_address()); });
  const std::pair<const char*, unsigned> more[] = {{"the same", 0},
                                                   {"no dump", FS_NODUMP_FL},
                                                   {"immutable", FS_IMMUTABLE_FL},
                                                   {"append-only", FS_APPEND_FL},
                                                   {"dirsync", FS_DIRSYNC_FL},
                                                   {"encrypted", FS_ENCRYPT_FL},
                                                   {"verity", FS_VERITY_FL},
                                                   {"unknown", 0x00000400U}};
  for (const auto& [name, added] : more) {
    table.changes(std::string("FS_IOC_SETFLAGS ") + name, [added = added](int fd) {
      unsigned flags = 0;
      if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return -1;
      flags |= added;
      return ioctl(fd, FS_IOC_SETFLAGS, &flags);
    });
  }
  table.changes("FS_IOC_SETFLAGS from nowhere", [](int fd) { return ioctl(fd, FS_IOC_SETFLAGS, bad_address()); });
  table.asks("FS_IOC_FSGETXATTR", [](int fd) {
    fsxattr extended{};
    return ioctl(fd, FS_IOC_FSGETXATTR, &extended);
  });
  const std::pair<const char*, void (*)(fsxattr&)> settings[] = {
      {"the same", [](fsxattr&) {}},
      {"no dump", [](fsxattr& extended) { extended.fsx_xflags |= FS_XFLAG_NODUMP; }},
      {"immutable", [](fsxattr& extended) { extended.fsx_xflags |= FS_XFLAG_IMMUTABLE; }},
      {"a size hint", [](fsxattr& extended) { extended.fsx_extsize = 4096; }},
      {"real time", [](fsxattr& extended) { extended.fsx_xflags |= FS_XFLAG_REALTIME; }},
      {"a project", [](fsxattr& extended) { extended.fsx_projid = 77; }}};
  for (const auto& [name, change] : settings) {
    table.changes(std::string("FS_IOC_FSSETXATTR ") + name, [change = change](int fd) {
      fsxattr extended{};
      if (ioctl(fd, FS_IOC_FSGETXATTR, &extended) != 0) return -1;
      change(extended);
      return ioctl(fd, FS_IOC_FSSETXATTR, &extended);
    });
  }
  const std::pair<const char*, unsigned long> commands[] = {{"FS_IOC_GETVERSION", FS_IOC_GETVERSION},
                                                            {"FIGETBSZ", FIGETBSZ},
                                                            {"FIONREAD", FIONREAD},
                                                            {"FIOQSIZE", FIOQSIZE},
                                                            {"FS_IOC_GETFSLABEL", FS_IOC_GETFSLABEL},
                                                            {"FS_IOC_FIEMAP", FS_IOC_FIEMAP},
                                                            {"FIBMAP", FIBMAP},
                                                            {"FICLONE", FICLONE},
                                                            {"FIDEDUPERANGE", FIDEDUPERANGE},
                                                            {"FITRIM of nothing", FITRIM},
                                                            {"TCGETS", 0x5401},
                                                            {"an unknown one", _IO('?', 77)}};
  for (const auto& [name, command] : commands) {
    table.changes(std::string("ioctl ") + name, [&with = table.with(), command = command](int fd) {
      std::fill_n(with.buffer.data(), 4096, '\0');
      return command == FICLONE ? ioctl(fd, command, with.reader) : ioctl(fd, command, with.buffer.data());
    });
  }
}

void add_names(OperationTable& table) {
  table.asks("fchdir", [&with = table.with()](int fd) {
    if (fchdir(fd) != 0) return -1;
    return fchdir(with.directory);
  });
  table.asks("openat below", [](int fd) {
    const int opened = openat(fd, "absent", O_RDONLY | O_CLOEXEC);
    return opened < 0 ? -1 : close(opened);
  });
  const std::pair<const char*, int> openings[] = {{"to read", O_RDONLY},
                                                  {"to write", O_WRONLY},
                                                  {"to append", O_WRONLY | O_APPEND},
                                                  {"to truncate", O_WRONLY | O_TRUNC},
                                                  {"a directory", O_RDONLY | O_DIRECTORY},
                                                  {"no time", O_RDONLY | O_NOATIME}};
  for (const auto& [name, flags] : openings) {
    table.changes(std::string("open again ") + name, [flags = flags](int fd) {
      const std::string self = "/proc/self/fd/" + std::to_string(fd);
      const int opened = open(self.c_str(), flags | O_NONBLOCK | O_CLOEXEC);
      return opened < 0 ? -1 : close(opened);
    });
  }
  table.asks("readlinkat", [&with = table.with()](int fd) { return readlinkat(fd, "", with.buffer.data(), 100); });
  table.changes("mkdirat", [](int fd) { return mkdirat(fd, "new", 0755); });
  table.changes("unlinkat of nothing", [](int fd) { return unlinkat(fd, "", 0); });
  table.changes("linkat", [&with = table.with()](int fd) {
    if (linkat(fd, "", with.directory, "linked", AT_EMPTY_PATH) != 0) return -1;
    return unlinkat(with.directory, "linked", 0);
  });
  table.asks("faccessat", [](int fd) { return faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS); });
  table.asks("a handle", [&with = table.with()](int fd) {
    auto* const handle = reinterpret_cast<file_handle*>(with.buffer.data());
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    return name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH);
  });
  table.asks("a handle without room", [&with = table.with()](int fd) {
    auto* const handle = reinterpret_cast<file_handle*>(with.buffer.data());
    handle->handle_bytes = 0;
    int mount = 0;
    return name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH);
  });
  table.asks("syncfs", [](int fd) { return syncfs(fd); });
}

}  // namespace

void add_attribute_operations(OperationTable& table) {
  add_attributes(table);
  add_extended_attributes(table);
  add_flags(table);
  add_names(table);
}

}  // namespace ashlar::posix_test
