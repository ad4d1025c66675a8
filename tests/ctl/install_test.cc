// What `cmake --install` puts where: mount(8), mkfs(8) and fsck(8) find their helpers by these names.
#include <gmock/gmock.h>

#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::run_command;
using ashlar::testing::Scratch;

TEST(Install, ProgramsAndManualPages) {
  const Scratch scratch;
  ASSERT_TRUE(scratch.ready());
  const std::string prefix = scratch.file("usr");
  const CommandResult installed =
      run_command(ASHLAR_CMAKE " --install " ASHLAR_BUILD " --component programs --prefix " + prefix);
  ASSERT_EQ(installed.status, 0) << installed.output;
  for (const char* program :
       {"/sbin/mount.ashlarfs", "/sbin/mkfs.ashlarfs", "/sbin/fsck.ashlarfs", "/sbin/ashlarctl", "/bin/ashlarfs"}) {
    const CommandResult result = run_command(prefix + program + " --version");
    EXPECT_EQ(result.status, 0) << program << result.output;
    EXPECT_THAT(result.output, ::testing::HasSubstr("ashlar")) << program;
  }
  for (const char* page : {"ashlarfs", "mount.ashlarfs", "mkfs.ashlarfs", "fsck.ashlarfs", "ashlarctl"})
    EXPECT_TRUE(std::filesystem::exists(prefix + "/share/man/man8/" + page + ".8")) << page;
}

}  // namespace
}  // namespace ashlar
