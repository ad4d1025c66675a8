// setxattr(2), getxattr(2), listxattr(2), removexattr(2); xattr(7).
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdint>
#include <cstring>
#include <set>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class XattrsTest : public PosixTest {
 protected:
  [[nodiscard]] int sets(const std::string& file, const std::string& name, const std::string& value,
                         int flags = 0) const {
    return ERRNO_OF(lsetxattr(path(file).c_str(), name.c_str(), value.data(), value.size(), flags));
  }
  [[nodiscard]] std::string value_of(const std::string& file, const std::string& name) const {
    std::string value(XATTR_SIZE_MAX, '\0');
    const ssize_t size = lgetxattr(path(file).c_str(), name.c_str(), value.data(), value.size());
    if (size < 0) return "errno " + std::to_string(errno);
    value.resize(static_cast<std::size_t>(size));
    return value;
  }
};
INSTANTIATE_TEST_SUITE_P(Posix, XattrsTest, ext4_and_an_image(), kind_name);

TEST_P(XattrsTest, SettingAndRemoving) {
  make_file("file");
  // setxattr(2), XATTR_CREATE and XATTR_REPLACE; getxattr(2), ERRORS
  EXPECT_EQ(sets("file", "user.name", "value", XATTR_REPLACE), ENODATA);
  EXPECT_EQ(sets("file", "user.name", "value", XATTR_CREATE), 0);
  EXPECT_EQ(sets("file", "user.name", "other", XATTR_CREATE), EEXIST);
  EXPECT_EQ(value_of("file", "user.name"), "value");
  EXPECT_EQ(sets("file", "user.name", "other", XATTR_REPLACE), 0);
  EXPECT_EQ(value_of("file", "user.name"), "other");
  EXPECT_EQ(sets("file", "user.empty", ""), 0);
  EXPECT_EQ(value_of("file", "user.empty"), "");
  char little = '?';
  EXPECT_EQ(ERRNO_OF(getxattr(path("file").c_str(), "user.name", &little, 1)), ERANGE);
  EXPECT_EQ(getxattr(path("file").c_str(), "user.name", nullptr, 0), 5);
  EXPECT_EQ(ERRNO_OF(getxattr(path("file").c_str(), "user.absent", nullptr, 0)), ENODATA);
  EXPECT_EQ(ERRNO_OF(removexattr(path("file").c_str(), "user.absent")), ENODATA);
  EXPECT_EQ(ERRNO_OF(removexattr(path("file").c_str(), "user.name")), 0);
  EXPECT_EQ(value_of("file", "user.name"), "errno " + std::to_string(ENODATA));
  EXPECT_EQ(sets("file", "nosuch.name", "x"), EOPNOTSUPP);
  EXPECT_EQ(sets("file", "user.", "x"), EINVAL);
  EXPECT_EQ(sets("file", "user.x", "x", 8), EINVAL);
}

TEST_P(XattrsTest, LimitsAndLists) {
  make_file("file");
  const std::string longest = "user." + std::string(XATTR_NAME_MAX - 5, 'n');
  // xattr(7): XATTR_NAME_MAX, XATTR_SIZE_MAX
  EXPECT_EQ(sets("file", longest, "x"), 0);
  EXPECT_EQ(sets("file", longest + "n", "x"), ERANGE);
  const std::string large(XATTR_SIZE_MAX, 'v');
  EXPECT_EQ(sets("file", "user.large", large), 0);
  EXPECT_TRUE(value_of("file", "user.large") == large);
  EXPECT_EQ(sets("file", "user.large", large + "v"), E2BIG);
  std::string names(4096, '?');
  const ssize_t size = listxattr(path("file").c_str(), names.data(), names.size());
  EXPECT_EQ(size, static_cast<ssize_t>(longest.size() + 1 + sizeof "user.large"));
  EXPECT_EQ(listxattr(path("file").c_str(), nullptr, 0), size);
  EXPECT_EQ(ERRNO_OF(listxattr(path("file").c_str(), names.data(), 5)), ERANGE);
  filesystem().remount("");
  EXPECT_TRUE(value_of("file", "user.large") == large);
  EXPECT_EQ(ERRNO_OF(removexattr(path("file").c_str(), "user.large")), 0);
}

TEST_P(XattrsTest, OfDirectories) {
  make_directory("d");
  const std::string large(5000, 'l');
  // xattr(7): user attributes are for directories, too; they are not inherited.
  EXPECT_EQ(sets("d", "user.x", "value"), 0);
  EXPECT_EQ(sets("d", "user.large", large), 0);
  EXPECT_EQ(sets("d", "trusted.overlay.opaque", "y"), 0);
  make_file("d/file");
  EXPECT_EQ(listxattr(path("d/file").c_str(), nullptr, 0), 0);
  EXPECT_EQ(times_changed("d", [&] { EXPECT_EQ(sets("d", "user.y", ""), 0); }), "c");
  ASSERT_EQ(rename(path("d").c_str(), path("e").c_str()), 0);
  filesystem().remount("");
  EXPECT_EQ(value_of("e", "user.x"), "value");
  EXPECT_TRUE(value_of("e", "user.large") == large);
  EXPECT_EQ(value_of("e", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(ERRNO_OF(removexattr(path("e").c_str(), "user.x")), 0);
  EXPECT_EQ(value_of("e", "user.x"), "errno " + std::to_string(ENODATA));
  EXPECT_EQ(ERRNO_OF(unlink(path("e/file").c_str())), 0);
  EXPECT_EQ(ERRNO_OF(rmdir(path("e").c_str())), 0);
}

TEST_P(XattrsTest, ListsShowAccessLists) {
  make_directory("d");
  // acl(5) in the form of setfacl(1): version 2, then tag, permissions and ID of each entry.
  const std::array<std::uint16_t, 18> words = {2,      0, 1, 7,    0xffff, 0xffff, 4, 5,      0xffff,
                                               0xffff, 8, 5, 3000, 0,      0x10,   7, 0xffff, 0xffff};
  std::string list(reinterpret_cast<const char*>(words.data()), sizeof words);
  const std::array<std::uint16_t, 4> others = {0x20, 5, 0xffff, 0xffff};
  list.append(reinterpret_cast<const char*>(others.data()), sizeof others);
  EXPECT_EQ(sets("d", "user.x", "1"), 0);
  EXPECT_EQ(sets("d", "system.posix_acl_default", list), 0);
  EXPECT_EQ(sets("d", "system.posix_acl_access", list), 0);
  std::string names(200, '\0');
  const ssize_t size = listxattr(path("d").c_str(), names.data(), names.size());
  ASSERT_GT(size, 0);
  // listxattr(2): access control lists are among the names, each once.
  std::multiset<std::string> found;
  for (std::size_t at = 0; at < static_cast<std::size_t>(size); at += std::strlen(&names[at]) + 1)
    found.insert(&names[at]);
  EXPECT_EQ(found, (std::multiset<std::string>{"system.posix_acl_access", "system.posix_acl_default", "user.x"}));
  ASSERT_EQ(ERRNO_OF(removexattr(path("d").c_str(), "system.posix_acl_default")), 0);
  ASSERT_EQ(ERRNO_OF(removexattr(path("d").c_str(), "system.posix_acl_access")), 0);
  EXPECT_EQ(listxattr(path("d").c_str(), nullptr, 0), static_cast<ssize_t>(sizeof "user.x"));
}

TEST_P(XattrsTest, WhoMay) {
  make_file("closed", "", 0600);
  make_directory("sticky", 01777);
  ASSERT_EQ(symlink("closed", path("link").c_str()), 0);
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0666), 0);
  ASSERT_EQ(sets("closed", "user.x", "1"), 0);
  const auto as_alice = [this](const std::string& file, const std::string& name, bool set) {
    const std::string full = path(file);
    return errno_as(kAlice, [&] {
      return set ? setxattr(full.c_str(), name.c_str(), "1", 1, 0)
                 : static_cast<int>(getxattr(full.c_str(), name.c_str(), nullptr, 0));
    });
  };
  // xattr(7): user attributes follow the file's permissions and are for regular files and directories; in sticky
  // directories only the owner sets them. trusted is for CAP_SYS_ADMIN.
  EXPECT_EQ(as_alice("closed", "user.x", true), EACCES);
  EXPECT_EQ(as_alice("closed", "user.x", false), EACCES);
  EXPECT_EQ(as_alice("sticky", "user.x", true), EPERM);
  EXPECT_EQ(sets("link", "user.x", "1"), EPERM);
  EXPECT_EQ(sets("fifo", "user.x", "1"), EPERM);
  EXPECT_EQ(sets("link", "trusted.x", "on the link"), 0);
  EXPECT_EQ(value_of("link", "trusted.x"), "on the link");
  EXPECT_EQ(sets("closed", "trusted.x", "1"), 0);
  EXPECT_EQ(as_alice("closed", "trusted.x", true), EPERM);
  EXPECT_EQ(as_alice("closed", "trusted.x", false), ENODATA);
  EXPECT_EQ(sets("closed", "security.x", "1"), 0);
}

}  // namespace
}  // namespace ashlar::posix_test
