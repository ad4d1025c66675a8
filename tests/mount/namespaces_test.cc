// Mounting where not all that root has elsewhere is allowed.
#include <gtest/gtest.h>

#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

// In a user namespace with a mount namespace, where the caller is root.
CommandResult run_in_user_namespace(const std::string& script) {
  return run({"unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "bash", "-euc", script});
}

class NamespacesTest : public testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam() != DeviceKind::image);
    if (run_in_user_namespace("true").exit_status != 0) {
      if (skipping_is_failing()) FAIL() << "needs user namespaces";
      GTEST_SKIP() << "needs user namespaces";
    }
  }
};

TEST_P(NamespacesTest, RootOfAUserNamespaceMounts) {
  const MountedVolume volume(GetParam(), kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  const std::string root = volume.root().string();
  const std::string mount = "'" + program("ashlarfs") + "' '" + volume.device().path() + "' '" + root + "'; ";
  const CommandResult wrote = run_in_user_namespace(mount + "echo text >'" + root + "/file'; chmod 600 '" + root +
                                                    "/file'; umount '" + root + "'");
  ASSERT_TRUE(succeeded(wrote));
  // There is no fuseblk in there; nobody needs to know.
  EXPECT_EQ(wrote.errors, "");
  const CommandResult read = run_in_user_namespace(mount + "cat '" + root + "/file'; findmnt -no FSTYPE '" + root +
                                                   "'; umount '" + root + "'");
  ASSERT_TRUE(succeeded(read));
  EXPECT_EQ(read.output, "text\nfuse.ashlarfs\n");
  // The kernel does not wait for the daemon there, fsck does.
  EXPECT_TRUE(succeeded(run({program("fsck.ashlarfs"), "-n", "-f", volume.device().path()})));
}

std::string device_name(const testing::TestParamInfo<DeviceKind>& info) { return std::string(name_of(info.param)); }

INSTANTIATE_TEST_SUITE_P(On, NamespacesTest, testing::Values(DeviceKind::image, DeviceKind::loop_512), device_name);

}  // namespace
}  // namespace ashlar::mount_test
