// chmod(2), chown(2), sticky and setgid directories, and what clears the privileges of a program.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <utility>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class PermissionsTest : public PosixTest {
 protected:
  [[nodiscard]] int chmods(const Caller& caller, const std::string& name, mode_t mode) const {
    const std::string full = path(name);
    return errno_as(caller, [&] { return chmod(full.c_str(), mode); });
  }
  [[nodiscard]] int chowns(const Caller& caller, const std::string& name, uid_t uid, gid_t gid) const {
    const std::string full = path(name);
    return errno_as(caller, [&] { return chown(full.c_str(), uid, gid); });
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, PermissionsTest, ext4_and_an_image(), kind_name);

TEST_P(PermissionsTest, ChangingModes) {
  make_file("file");
  give_to("file", kAlice);
  // XSH chmod: the owner or the privileged, [EPERM].
  EXPECT_EQ(chmods(kBob, "file", 0777), EPERM);
  EXPECT_EQ(chmods(kAlice, "file", 04711), 0);
  EXPECT_EQ(mode_of("file"), 04711U);
  // XSH chmod: S_ISGID goes when the caller is not in the file's group.
  ASSERT_EQ(chown(path("file").c_str(), kAlice.uid, 3000), 0);
  EXPECT_EQ(chmods(kAlice, "file", 02711), 0);
  EXPECT_EQ(mode_of("file"), 0711U);
  const Caller member{kAlice.uid, kAlice.gid, {3000}};
  EXPECT_EQ(chmods(member, "file", 02711), 0);
  EXPECT_EQ(mode_of("file"), 02711U);
  EXPECT_EQ(chmods(member, "file", 01644), 0);  // S_ISVTX of a file: kept on Linux
  EXPECT_EQ(mode_of("file"), 01644U);
}

TEST_P(PermissionsTest, ChangingOwners) {
  make_file("file", "", 06755);
  give_to("file", kAlice);
  // XSH chown and chown(2): giving away is for the privileged; the group may become one of the owner's.
  EXPECT_EQ(chowns(kAlice, "file", kBob.uid, static_cast<gid_t>(-1)), EPERM);
  EXPECT_EQ(chowns(kAlice, "file", static_cast<uid_t>(-1), 3000), EPERM);
  EXPECT_EQ(chowns(kBob, "file", static_cast<uid_t>(-1), kBob.gid), EPERM);
  ASSERT_EQ(chmod(path("file").c_str(), 06755), 0);
  EXPECT_EQ(chowns({kAlice.uid, kAlice.gid, {3000}}, "file", static_cast<uid_t>(-1), 3000), 0);
  EXPECT_EQ(stat_of("file").st_gid, 3000U);
  // chown(2): suid and sgid go, root's call or not...
  EXPECT_EQ(mode_of("file"), 0755U);
  ASSERT_EQ(chmod(path("file").c_str(), 06755), 0);
  ASSERT_EQ(chown(path("file").c_str(), 7, 8), 0);
  EXPECT_EQ(mode_of("file"), 0755U);
  // ...but sgid stays without group execution, and on directories both.
  ASSERT_EQ(chmod(path("file").c_str(), 02745), 0);
  ASSERT_EQ(chown(path("file").c_str(), 9, 10), 0);
  EXPECT_EQ(mode_of("file"), 02745U);
  make_directory("directory", 0755);
  ASSERT_EQ(chmod(path("directory").c_str(), 06755), 0);
  ASSERT_EQ(chown(path("directory").c_str(), 9, 10), 0);
  EXPECT_EQ(mode_of("directory"), 06755U);
  // XSH lchown
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  ASSERT_EQ(lchown(path("link").c_str(), 11, 12), 0);
  EXPECT_EQ(stat_of("link").st_uid, 11U);
  EXPECT_EQ(stat_of("file").st_uid, 9U);
  // The largest IDs but -1.
  ASSERT_EQ(chown(path("file").c_str(), 0xffff'fffeU, 0xffff'fffeU), 0);
  EXPECT_EQ(stat_of("file").st_uid, 0xffff'fffeU);
}

TEST_P(PermissionsTest, ChangingOwnersToWhatTheyAre) {
  make_file("file", "", 0755);
  give_to("file", kAlice);
  constexpr auto kSameUser = static_cast<uid_t>(-1);
  constexpr auto kSameGroup = static_cast<gid_t>(-1);
  // XSH chown: -1 leaves an ID; the owner may, and others may not even name what it is already...
  EXPECT_EQ(chowns(kAlice, "file", kSameUser, kSameGroup), 0);
  EXPECT_EQ(chowns(kAlice, "file", kAlice.uid, kAlice.gid), 0);
  EXPECT_EQ(chowns(kBob, "file", kAlice.uid, kAlice.gid), EPERM);
  // ...but a call that names nothing is everybody's on Linux.
  EXPECT_EQ(chowns(kBob, "file", kSameUser, kSameGroup), 0);
  EXPECT_EQ(times_changed("file", [&] { EXPECT_EQ(chowns(kAlice, "file", kSameUser, kSameGroup), 0); }), "c");
  ASSERT_EQ(chmod(path("file").c_str(), 06755), 0);
  EXPECT_EQ(chowns(kAlice, "file", kSameUser, kSameGroup), 0);
  EXPECT_EQ(mode_of("file"), deviates(Deviation::chown_to_nobody_keeps_privileges) ? 06755U : 0755U);
  ASSERT_EQ(chmod(path("file").c_str(), 06755), 0);
  EXPECT_EQ(chowns(kAlice, "file", kAlice.uid, kSameGroup), 0);
  EXPECT_EQ(mode_of("file"), 0755U);
}

TEST_P(PermissionsTest, ChangingContentsClearsPrivileges) {
  // XSH write, truncate; inode(7): an unprivileged write, truncation or allocation clears S_ISUID, and S_ISGID of an
  // executable. The same through every way of writing.
  const auto by_alice = [this](const std::function<int(int fd)>& change) {
    make_file("program", std::string(8192, 'x'), 0777);
    give_to("program", kAlice);
    EXPECT_EQ(chmod(path("program").c_str(), 06777), 0);
    const std::string full = path("program");
    EXPECT_EQ(errno_as(kBob,
                       [&] {
                         const int fd = open(full.c_str(), O_RDWR);
                         return fd < 0 ? -1 : change(fd);
                       }),
              0);
    return mode_of("program");
  };
  EXPECT_EQ(by_alice([](int) { return 0; }), 06777U);
  EXPECT_EQ(by_alice([](int fd) { return write(fd, "y", 1) == 1 ? 0 : -1; }), 0777U);
  EXPECT_EQ(by_alice([](int fd) { return write(fd, "y", 1) == 1 ? fsync(fd) : -1; }), 0777U);
  EXPECT_EQ(by_alice([](int fd) { return ftruncate(fd, 10); }), 0777U);
  EXPECT_EQ(by_alice([](int fd) { return ftruncate(fd, 10'000); }), 0777U);
  EXPECT_EQ(by_alice([](int fd) { return fallocate(fd, 0, 0, 20'000); }), 0777U);
  EXPECT_EQ(by_alice([](int fd) { return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }), 0777U);
  EXPECT_EQ(by_alice([](int fd) {
              std::array<char, 2> bytes = {'a', 'b'};
              iovec parts[] = {{bytes.data(), 2}};
              return pwritev(fd, parts, 1, 3) == 2 ? 0 : -1;
            }),
            0777U);
  // Opening with O_TRUNC is a truncation.
  const std::string full = path("program");
  ASSERT_EQ(chmod(full.c_str(), 06777), 0);
  EXPECT_EQ(errno_as(kBob, [&] { return open(full.c_str(), O_WRONLY | O_TRUNC); }), 0);
  EXPECT_EQ(mode_of("program"), 0777U);
  // The privileged (CAP_FSETID) keep them.
  ASSERT_EQ(chmod(full.c_str(), 06777), 0);
  make_file("program", "root's");
  EXPECT_EQ(mode_of("program"), 06777U);
}

TEST_P(PermissionsTest, SetgidWithoutGroupExecution) {
  // inode(7), S_ISGID; since Linux 6.2 it goes, group execution or not, when who changes the contents is not in the
  // group: by every way of changing them.
  constexpr gid_t kGroup = 3000;
  const Caller member{kBob.uid, kBob.gid, {2999, kGroup}};
  make_file("source", std::string(100, 's'));
  const std::string source = path("source");
  const auto after = [this](const Caller& caller, const std::function<int(int fd)>& change) {
    make_file("file", std::string(8192, 'x'));
    const std::string full = path("file");
    EXPECT_EQ(chown(full.c_str(), kAlice.uid, kGroup), 0);
    EXPECT_EQ(chmod(full.c_str(), 02766), 0);
    EXPECT_EQ(errno_as(caller,
                       [&] {
                         const int fd = open(full.c_str(), O_RDWR);
                         return fd < 0 ? -1 : change(fd);
                       }),
              0);
    return mode_of("file");
  };
  const std::vector<std::pair<const char*, std::function<int(int)>>> changes = {
      {"write", [](int fd) { return write(fd, "y", 1) == 1 ? 0 : -1; }},
      {"write and fsync", [](int fd) { return write(fd, "y", 1) == 1 ? fsync(fd) : -1; }},
      {"ftruncate", [](int fd) { return ftruncate(fd, 10); }},
      {"fallocate", [](int fd) { return fallocate(fd, 0, 0, 20'000); }},
      {"punch", [](int fd) { return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); }},
      {"direct write",
       [](int fd) {
         alignas(4096) static std::array<char, 4096> page{};
         if (fcntl(fd, F_SETFL, O_DIRECT) != 0) return -1;
         return pwrite(fd, page.data(), page.size(), 0) == 4096 ? 0 : -1;
       }},
      {"copy_file_range",
       [&source](int fd) {
         const int from = open(source.c_str(), O_RDONLY);
         return copy_file_range(from, nullptr, fd, nullptr, 100, 0) == 100 ? 0 : -1;
       }},
  };
  for (const auto& [name, change] : changes) {
    EXPECT_EQ(after(kBob, change), 0766U) << name;
    EXPECT_EQ(after(member, change), 02766U) << name;
    EXPECT_EQ(after(Caller{}, change), 02766U) << name;
  }
}

TEST_P(PermissionsTest, SetgidAndANewGroup) {
  // chown(2): likewise when the owner, who is not in the old group, changes it.
  constexpr gid_t kGroup = 3000;
  for (const bool is_member : {false, true}) {
    make_file("file");
    ASSERT_EQ(chown(path("file").c_str(), kAlice.uid, kGroup), 0);
    ASSERT_EQ(chmod(path("file").c_str(), 02745), 0);
    const Caller owner{kAlice.uid, kAlice.gid, is_member ? std::vector<gid_t>{kGroup} : std::vector<gid_t>{}};
    EXPECT_EQ(chowns(owner, "file", static_cast<uid_t>(-1), kAlice.gid), 0);
    EXPECT_EQ(mode_of("file"), is_member ? 02745U : 0745U);
    EXPECT_EQ(stat_of("file").st_gid, kAlice.gid);
  }
}

TEST_P(PermissionsTest, CapabilitiesDecideAndNotTheUserId) {
  // capabilities(7): CAP_FSETID, "Don't clear set-user-ID and set-group-ID mode bits when a file is modified".
  constexpr std::uint64_t kAll = (1ULL << (CAP_LAST_CAP + 1)) - 1;
  const Caller plain_root{0, 0, {}, kAll & ~(1ULL << CAP_FSETID)};
  const Caller capable_alice{kAlice.uid, kAlice.gid, {}, 1ULL << CAP_FSETID};
  make_file("source", std::string(100, 's'));
  const std::string source = path("source");
  const auto after = [this](const Caller& caller, const std::function<int(int fd)>& change) {
    make_file("program", std::string(8192, 'x'));
    const std::string full = path("program");
    EXPECT_EQ(chown(full.c_str(), kBob.uid, kBob.gid), 0);
    EXPECT_EQ(chmod(full.c_str(), 06777), 0);
    EXPECT_EQ(errno_as(caller, [&] { return change(open(full.c_str(), O_RDWR)); }), 0);
    return mode_of("program");
  };
  const std::vector<std::pair<const char*, std::function<int(int)>>> changes = {
      {"write", [](int fd) { return write(fd, "y", 1) == 1 ? 0 : -1; }},
      {"ftruncate", [](int fd) { return ftruncate(fd, 10); }},
      {"fallocate", [](int fd) { return fallocate(fd, 0, 0, 20'000); }},
      {"copy_file_range",
       [&source](int fd) {
         return copy_file_range(open(source.c_str(), O_RDONLY), nullptr, fd, nullptr, 100, 0) == 100 ? 0 : -1;
       }},
  };
  for (const auto& [name, change] : changes) {
    EXPECT_EQ(after(plain_root, change), 0777U) << name;
    EXPECT_EQ(after(capable_alice, change), 06777U) << name;
  }
  // CAP_SYS_ADMIN: trusted attributes are listed for it alone (xattr(7)), and it trims (ioctl_fitrim(2)).
  const Caller weak_root{0, 0, {}, kAll & ~(1ULL << CAP_SYS_ADMIN)};
  const Caller strong_alice{kAlice.uid, kAlice.gid, {}, 1ULL << CAP_SYS_ADMIN};
  const std::string full = path("source");
  ASSERT_EQ(setxattr(full.c_str(), "trusted.x", "1", 1, 0), 0);
  const auto lists = [&] {
    errno = ENODATA;
    return listxattr(full.c_str(), nullptr, 0) > 0 ? 0 : -1;
  };
  const std::string root = path("");
  const auto trims = [&] {
    fstrim_range range{0, ~0ULL, 0};
    return ioctl(open(root.c_str(), O_RDONLY | O_DIRECTORY), FITRIM, &range);
  };
  EXPECT_EQ(errno_as(weak_root, lists), ENODATA);
  EXPECT_EQ(errno_as(strong_alice, lists), 0);
  EXPECT_EQ(errno_as(weak_root, trims), EPERM);
  EXPECT_EQ(errno_as(strong_alice, trims), 0);
}

TEST_P(PermissionsTest, ChangingContentsClearsCapabilities) {
  // capabilities(7): file capabilities go with a write, whoever writes, and with a change of owner.
  constexpr std::array<unsigned char, 20> kCapability = {0, 0, 0, 2, 0, 4};  // VFS_CAP_REVISION_2, little endian
  const std::string full = path("program");
  const auto given = [&] {
    return setxattr(full.c_str(), "security.capability", kCapability.data(), kCapability.size(), 0) == 0;
  };
  const auto has = [&] { return getxattr(full.c_str(), "security.capability", nullptr, 0) > 0; };
  make_file("program", "contents", 0755);
  ASSERT_TRUE(given());
  EXPECT_TRUE(has());
  ASSERT_EQ(chmod(full.c_str(), 0711), 0);
  EXPECT_TRUE(has());
  {
    const OpenFile file(full, O_WRONLY);
    ASSERT_EQ(write(file.fd(), "x", 1), 1);
    ASSERT_EQ(fsync(file.fd()), 0);
  }
  EXPECT_FALSE(has());
  {
    // Those that are set after a write stay, whenever its contents reach the volume.
    const OpenFile file(full, O_WRONLY);
    ASSERT_EQ(write(file.fd(), "y", 1), 1);
    ASSERT_TRUE(given());
    ASSERT_EQ(fsync(file.fd()), 0);
    EXPECT_TRUE(has());
    ASSERT_EQ(write(file.fd(), "z", 1), 1);
    EXPECT_FALSE(has());
  }
  ASSERT_TRUE(given());
  ASSERT_EQ(truncate(full.c_str(), 3), 0);
  EXPECT_FALSE(has());
  ASSERT_TRUE(given());
  ASSERT_EQ(chown(full.c_str(), 5, 5), 0);
  EXPECT_FALSE(has());
}

TEST_P(PermissionsTest, StickyDirectories) {
  make_directory("sticky", 01777);
  make_file("sticky/bobs", "", 0666);
  make_directory("sticky/bobs directory", 0777);
  give_to("sticky/bobs", kBob);
  give_to("sticky/bobs directory", kBob);
  const std::string file = path("sticky/bobs");
  const std::string directory = path("sticky/bobs directory");
  // XBD 4.3 directory protection: only the owner of the file, of the directory, or the privileged; EPERM on Linux.
  EXPECT_EQ(errno_as(kAlice, [&] { return unlink(file.c_str()); }), EPERM);
  EXPECT_EQ(errno_as(kAlice, [&] { return rmdir(directory.c_str()); }), EPERM);
  EXPECT_EQ(errno_as(kBob, [&] { return rmdir(directory.c_str()); }), 0);
  give_to("sticky", kAlice);
  EXPECT_EQ(errno_as(kAlice, [&] { return unlink(file.c_str()); }), 0);
}

TEST_P(PermissionsTest, SupplementaryGroupsCount) {
  make_file("file", "text", 0640);
  ASSERT_EQ(chown(path("file").c_str(), 0, 3000), 0);
  make_directory("directory", 0730);
  ASSERT_EQ(chown(path("directory").c_str(), 0, 3000), 0);
  const Caller member{kAlice.uid, kAlice.gid, {2999, 3000}};
  const std::string file = path("file");
  const std::string made = path("directory/made");
  // XBD 4.5 file access permissions
  EXPECT_EQ(errno_as(kAlice, [&] { return open(file.c_str(), O_RDONLY); }), EACCES);
  EXPECT_EQ(errno_as(member, [&] { return open(file.c_str(), O_RDONLY); }), 0);
  EXPECT_EQ(errno_as(member, [&] { return open(file.c_str(), O_WRONLY); }), EACCES);
  EXPECT_EQ(errno_as(member, [&] { return mkdir(made.c_str(), 0755); }), 0);
  EXPECT_EQ(errno_as(member, [&] { return access(file.c_str(), R_OK); }), 0);
  // The owner's class decides alone: less than the group's does not become more.
  make_file("odd", "", 0070);
  ASSERT_EQ(chown(path("odd").c_str(), kAlice.uid, 3000), 0);
  const std::string odd = path("odd");
  EXPECT_EQ(errno_as(member, [&] { return open(odd.c_str(), O_RDONLY); }), EACCES);
}

}  // namespace
}  // namespace ashlar::posix_test
