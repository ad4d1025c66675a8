// POSIX access control lists: acl(5), and how open(2), mkdir(2), chmod(2) and umask(2) meet them.
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

struct Entry {
  std::uint16_t tag;
  std::uint16_t permissions;
  std::uint32_t id = ~0U;
};

std::string encoded(const std::vector<Entry>& entries) {
  static_assert(sizeof(Entry) == sizeof(posix_acl_xattr_entry));
  const std::uint32_t version = POSIX_ACL_XATTR_VERSION;
  std::string value(sizeof version + entries.size() * sizeof(Entry), '\0');
  std::memcpy(value.data(), &version, sizeof version);
  std::memcpy(value.data() + sizeof version, entries.data(), entries.size() * sizeof(Entry));
  return value;
}

class AclsTest : public PosixTest {
 protected:
  [[nodiscard]] int sets(const std::string& file, const char* name, const std::vector<Entry>& entries) const {
    const std::string value = encoded(entries);
    return ERRNO_OF(setxattr(path(file).c_str(), name, value.data(), value.size(), 0));
  }
  [[nodiscard]] std::string value_of(const std::string& file, const char* name) const {
    std::string value(1024, '\0');
    const ssize_t size = getxattr(path(file).c_str(), name, value.data(), value.size());
    if (size < 0) return "errno " + std::to_string(errno);
    value.resize(static_cast<std::size_t>(size));
    return value;
  }
  [[nodiscard]] int opens(const Caller& caller, const std::string& file, int flags) const {
    const std::string full = path(file);
    return errno_as(caller, [&] { return open(full.c_str(), flags); });
  }
  // Owner all, Alice read and write, group and others nothing; the mask as given.
  [[nodiscard]] static std::vector<Entry> for_alice(std::uint16_t mask) {
    return {{ACL_USER_OBJ, 7}, {ACL_USER, 6, kAlice.uid}, {ACL_GROUP_OBJ, 0}, {ACL_MASK, mask}, {ACL_OTHER, 0}};
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, AclsTest, ext4_and_an_image(), kind_name);

TEST_P(AclsTest, TheyDecide) {
  make_file("file", "text", 0600);
  EXPECT_EQ(opens(kAlice, "file", O_RDWR), EACCES);
  ASSERT_EQ(sets("file", kAccess, for_alice(7)), 0);
  // acl(5), ACCESS CHECK ALGORITHM; the group digit of the mode is the mask.
  EXPECT_EQ(opens(kAlice, "file", O_RDWR), 0);
  EXPECT_EQ(opens(kBob, "file", O_RDONLY), EACCES);
  EXPECT_EQ(mode_of("file"), 0770U);
  ASSERT_EQ(sets("file", kAccess, for_alice(4)), 0);
  EXPECT_EQ(mode_of("file"), 0740U);
  EXPECT_EQ(opens(kAlice, "file", O_RDONLY), 0);
  EXPECT_EQ(opens(kAlice, "file", O_RDWR), EACCES);
  ASSERT_EQ(sets("file", kAccess,
                 {{ACL_USER_OBJ, 6}, {ACL_GROUP_OBJ, 0}, {ACL_GROUP, 4, 3000}, {ACL_MASK, 7}, {ACL_OTHER, 0}}),
            0);
  EXPECT_EQ(opens({kBob.uid, kBob.gid, {3000}}, "file", O_RDONLY), 0);
  EXPECT_EQ(opens(kBob, "file", O_RDONLY), EACCES);
  filesystem().remount("");
  EXPECT_EQ(opens({kBob.uid, kBob.gid, {3000}}, "file", O_RDONLY), 0);
  ASSERT_EQ(removexattr(path("file").c_str(), kAccess), 0);
  EXPECT_EQ(opens({kBob.uid, kBob.gid, {3000}}, "file", O_RDONLY), EACCES);
}

TEST_P(AclsTest, ModesFollowAndLead) {
  make_file("file", "", 0600);
  ASSERT_EQ(sets("file", kAccess, for_alice(7)), 0);
  // acl(5), CORRESPONDENCE: chmod changes the mask.
  ASSERT_EQ(chmod(path("file").c_str(), 0750), 0);
  std::vector<Entry> expected = for_alice(5);
  EXPECT_EQ(value_of("file", kAccess), encoded(expected));
  EXPECT_EQ(opens(kAlice, "file", O_RDWR), EACCES);
  ASSERT_EQ(chmod(path("file").c_str(), 0604), 0);
  expected[0].permissions = 6;
  expected[3].permissions = 0;
  expected[4].permissions = 4;
  EXPECT_EQ(value_of("file", kAccess), encoded(expected));
  // A list that says no more than a mode is none.
  ASSERT_EQ(sets("file", kAccess, {{ACL_USER_OBJ, 6}, {ACL_GROUP_OBJ, 4}, {ACL_OTHER, 4}}), 0);
  EXPECT_EQ(mode_of("file"), 0644U);
  EXPECT_EQ(value_of("file", kAccess), "errno " + std::to_string(ENODATA));
}

TEST_P(AclsTest, DefaultsAreInherited) {
  make_directory("d", 0755);
  ASSERT_EQ(sets("d", kDefault, for_alice(7)), 0);
  EXPECT_EQ(mode_of("d"), 0755U);
  // acl(5), OBJECT CREATION AND DEFAULT ACLs: the umask does not count.
  static_cast<void>(umask(077));
  make_file("d/file", "", 0664);
  make_directory("d/below", 0770);
  ASSERT_EQ(mkfifo(path("d/fifo").c_str(), 0666), 0);
  ASSERT_EQ(symlink("file", path("d/link").c_str()), 0);
  make_file("plain", "", 0664);
  static_cast<void>(umask(0));
  EXPECT_EQ(mode_of("plain"), 0600U);
  EXPECT_EQ(mode_of("d/file"), 0660U);
  std::vector<Entry> expected = for_alice(6);
  expected[0].permissions = 6;
  EXPECT_EQ(value_of("d/file", kAccess), encoded(expected));
  EXPECT_EQ(value_of("d/fifo", kAccess), encoded(expected));
  EXPECT_EQ(value_of("d/below", kAccess), encoded(for_alice(7)));
  EXPECT_EQ(value_of("d/below", kDefault), encoded(for_alice(7)));
  EXPECT_EQ(value_of("d/file", kDefault), "errno " + std::to_string(ENODATA));
  make_file("d/below/deeper", "", 0600);
  EXPECT_EQ(mode_of("d/below/deeper"), 0600U);
  EXPECT_EQ(opens(kAlice, "d/below/deeper", O_RDONLY), EACCES);  // the mask
  // A default list of the three classes alone replaces the umask and leaves no list.
  make_directory("e", 0755);
  ASSERT_EQ(sets("e", kDefault, {{ACL_USER_OBJ, 7}, {ACL_GROUP_OBJ, 5}, {ACL_OTHER, 0}}), 0);
  static_cast<void>(umask(077));
  make_file("e/file", "", 0666);
  static_cast<void>(umask(0));
  EXPECT_EQ(mode_of("e/file"), 0640U);
  EXPECT_EQ(value_of("e/file", kAccess), "errno " + std::to_string(ENODATA));
}

TEST_P(AclsTest, WhatIsRefused) {
  make_file("file", "", 0644);
  make_directory("d");
  give_to("file", kAlice);
  // setxattr(2), acl_valid(3)
  EXPECT_EQ(sets("file", kAccess, {{ACL_USER_OBJ, 6}, {ACL_OTHER, 4}}), EINVAL);
  EXPECT_EQ(sets("file", kAccess, {{ACL_USER_OBJ, 6}, {ACL_USER, 4, 5}, {ACL_GROUP_OBJ, 4}, {ACL_OTHER, 4}}), EINVAL);
  EXPECT_EQ(sets("file", kAccess, {{ACL_OTHER, 4}, {ACL_USER_OBJ, 6}, {ACL_GROUP_OBJ, 4}}), EINVAL);
  EXPECT_EQ(sets("file", kAccess, {{ACL_USER_OBJ, 9}, {ACL_GROUP_OBJ, 4}, {ACL_OTHER, 4}}), EINVAL);
  EXPECT_EQ(ERRNO_OF(setxattr(path("file").c_str(), kAccess, "abc", 3, 0)), EINVAL);
  EXPECT_EQ(sets("file", kDefault, for_alice(7)), EACCES);
  const std::string full = path("file");
  const std::string value = encoded(for_alice(7));
  EXPECT_EQ(errno_as(kBob, [&] { return setxattr(full.c_str(), kAccess, value.data(), value.size(), 0); }), EPERM);
  EXPECT_EQ(errno_as(kAlice, [&] { return setxattr(full.c_str(), kAccess, value.data(), value.size(), 0); }), 0);
  EXPECT_EQ(value_of("file", kAccess), value);
}

TEST_P(AclsTest, SettingOneMayTakeSetgid) {
  // chmod(2), setxattr of an access list likewise: S_ISGID goes when the caller is not in the file's group.
  make_file("file", "", 0755);
  ASSERT_EQ(chown(path("file").c_str(), kAlice.uid, 3000), 0);
  ASSERT_EQ(chmod(path("file").c_str(), 02755), 0);
  const std::string full = path("file");
  const std::string value = encoded(for_alice(7));
  const auto by = [&](const Caller& caller) {
    return errno_as(caller, [&] { return setxattr(full.c_str(), kAccess, value.data(), value.size(), 0); });
  };
  EXPECT_EQ(by({kAlice.uid, kAlice.gid, {1, 3000}}), 0);
  EXPECT_EQ(mode_of("file"), 02770U);
  EXPECT_EQ(by(kAlice), 0);
  EXPECT_EQ(mode_of("file"), 0770U);
}

}  // namespace
}  // namespace ashlar::posix_test
