// Access control lists so long that they lie apart from their names.
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "fs/volume/acl.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

// Below what the kernel lets an attribute have.
constexpr std::uint32_t kMostUsers = (65536 - sizeof(posix_acl_xattr_header)) / sizeof(posix_acl_xattr_entry) - 4;

// The digits of `mode` for owner, mask and others, and so many named users.
std::string list_of(std::uint32_t users, std::uint32_t mode) {
  std::string value;
  const auto append = [&value](const auto& part) {
    value.append(reinterpret_cast<const char*>(&part), sizeof part);  // this machine's byte order is the format's
  };
  const auto entry = [](std::uint32_t tag, std::uint32_t permissions, std::uint32_t id) {
    posix_acl_xattr_entry result{};
    result.e_tag = static_cast<std::uint16_t>(tag);
    result.e_perm = static_cast<std::uint16_t>(permissions);
    result.e_id = id;
    return result;
  };
  constexpr std::uint32_t kNoId = ~0U;
  append(posix_acl_xattr_header{POSIX_ACL_XATTR_VERSION});
  append(entry(ACL_USER_OBJ, mode >> 6 & 7, kNoId));
  for (std::uint32_t i = 0; i < users; ++i) append(entry(ACL_USER, i % 8, 1000 + i));
  append(entry(ACL_GROUP_OBJ, 5, kNoId));
  append(entry(ACL_MASK, mode >> 3 & 7, kNoId));
  append(entry(ACL_OTHER, mode & 7, kNoId));
  return value;
}

struct Case {
  Geometry geometry;
  std::uint32_t users;
};

class LongAcls : public ::testing::TestWithParam<Case> {
 protected:
  Rig rig{GetParam().geometry};
  InodeNumber directory = rig.make_directory(kRootInode, "d");

  void SetUp() override { set(directory, kDefaultAcl, list_of(GetParam().users, 0775)); }
  void TearDown() override { rig.check(); }
  void set(InodeNumber inode, std::string_view name, const std::string& value) {
    const Status set = rig.volume().set_xattr(rig.context(), inode, name, std::as_bytes(std::span(value)), 0);
    ASSERT_TRUE(set) << set.error().message();
  }
  [[nodiscard]] ::testing::AssertionResult has(InodeNumber inode, std::string_view name, std::uint32_t mode) {
    const auto value = rig.volume().get_xattr(rig.context(), inode, name);
    if (!value) return ::testing::AssertionFailure() << name << ": " << value.error().message();
    return same(*value, list_of(GetParam().users, mode));
  }
};

// Both lists of a new directory are set by one transaction.
TEST_P(LongAcls, ADirectoryInheritsBoth) {
  const InodeNumber below = rig.make_directory(directory, "below", 0750);
  EXPECT_TRUE(has(below, kAccessAcl, 0750));
  EXPECT_TRUE(has(below, kDefaultAcl, 0775));
  EXPECT_EQ(rig.stat(below).mode, S_IFDIR | 0750U);
  rig.check();
  rig.remount();
  EXPECT_TRUE(has(below, kAccessAcl, 0750));
  EXPECT_TRUE(has(below, kDefaultAcl, 0775));
  ASSERT_TRUE(rig.volume().remove_xattr(rig.context(), below, kDefaultAcl));
  EXPECT_TRUE(has(below, kAccessAcl, 0750));
  ASSERT_TRUE(rig.volume().remove_directory(rig.context(), directory, "below"));
}

TEST_P(LongAcls, TheModeIsFollowed) {
  const InodeNumber below = rig.make_directory(directory, "below", 0750);
  AttributeChange change;
  change.fields = AttributeChange::mode_field;
  change.mode = 0701;
  ASSERT_TRUE(rig.volume().set_attributes(rig.context(), below, change));
  EXPECT_TRUE(has(below, kAccessAcl, 0701));
  EXPECT_TRUE(has(below, kDefaultAcl, 0775));
  set(below, kDefaultAcl, list_of(GetParam().users, 0700));
  EXPECT_TRUE(has(below, kAccessAcl, 0701));
  const InodeNumber file = rig.make_file(below, "f", 0644);
  EXPECT_TRUE(has(file, kAccessAcl, 0600));
}

INSTANTIATE_TEST_SUITE_P(Geometries, LongAcls,
                         ::testing::Values(Case{kSmallNodes, 40}, Case{kMiddleNodes, 70}, Case{kLargeNodes, 300},
                                           Case{kMiddleNodes, kMostUsers}, Case{kLargeNodes, kMostUsers}));

}  // namespace
}  // namespace ashlar::volume::testing
