// What `cmake --install` puts where: mount(8), mkfs(8) and fsck(8) find their helpers by these names.
#include <gmock/gmock.h>

#include <filesystem>
#include <string>

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
  for (const char* program : {"ashlarctl", "ashlarfs", "mkfs.ashlarfs", "fsck.ashlarfs"}) {
    EXPECT_TRUE(std::filesystem::exists(prefix + "/share/bash-completion/completions/" + program)) << program;
  }
}

// What bash offers after these words of a command line.
std::string completions(const std::string& program, const std::string& words, int current) {
  return run_command("bash -c '. " ASHLAR_COMPLETION "; COMP_WORDS=(" + words +
                     "); COMP_CWORD=" + std::to_string(current) + "; _ashlarfs " ASHLAR_BUILD "/bin/" + program +
                     " \"${COMP_WORDS[COMP_CWORD]}\"; echo \"${COMPREPLY[@]}\"'")
      .output;
}

TEST(Install, BashCompletesCommandsAndOptions) {
  EXPECT_EQ(completions("ashlarctl", "ashlarctl scr", 1), "scrub\n");
  EXPECT_EQ(completions("ashlarctl", "ashlarctl --ver", 1), "--version\n");
  EXPECT_EQ(completions("ashlarctl", "ashlarctl scrub --ra", 2), "--rate\n");
  EXPECT_EQ(completions("mkfs.ashlarfs", "mkfs.ashlarfs --fo", 1), "--force\n");
  EXPECT_EQ(completions("fsck.ashlarfs", "fsck.ashlarfs --da", 1), "--data\n");
  EXPECT_EQ(completions("ashlarfs", "ashlarfs " ASHLAR_BUILD "/CMakeCach", 1), ASHLAR_BUILD "/CMakeCache.txt\n");
}

TEST(Install, ADebianPackageHasThePrograms) {
  const Scratch scratch;
  ASSERT_TRUE(scratch.ready());
  const std::string folder = scratch.file("package");
  const CommandResult packed = run_command("cd " ASHLAR_BUILD " && cpack -G DEB -B " + folder);
  ASSERT_EQ(packed.status, 0) << packed.output;
  const CommandResult listed = run_command("dpkg-deb -c " + folder + "/*.deb");
  ASSERT_EQ(listed.status, 0) << listed.output;
  for (const char* path :
       {"./usr/bin/ashlarfs\n", "./usr/sbin/mount.ashlarfs -> ", "./usr/sbin/mkfs.ashlarfs\n",
        "./usr/sbin/fsck.ashlarfs\n", "./usr/sbin/ashlarctl\n", "./usr/share/man/man8/mount.ashlarfs.8",
        "./usr/share/bash-completion/completions/ashlarctl"}) {
    EXPECT_THAT(listed.output, ::testing::HasSubstr(path));
  }
  EXPECT_THAT(run_command("dpkg-deb -f " + folder + "/*.deb Package Depends").output,
              ::testing::AllOf(::testing::HasSubstr("Package: ashlarfs"), ::testing::HasSubstr("libfuse3")));
}

}  // namespace
}  // namespace ashlar
