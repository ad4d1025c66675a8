// Programs that people run, in a mounted volume. Each is a script beside this file; what it checks is told there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::programs_test {
namespace {

using mount_test::DeviceKind;
using mount_test::Engine;
using mount_test::MountedVolume;
using mount_test::run;
using mount_test::succeeded;

struct Program {
  const char* name;  // of the script, without .sh
  Engine engine;
  DeviceKind device;
};
std::ostream& operator<<(std::ostream& stream, const Program& program) { return stream << program.name; }

constexpr std::uint64_t kBytes = 16ULL << 30;  // sparse
constexpr std::chrono::hours kDeadline{4};     // ctest's is shorter; this one is for runs by hand

class ProgramsTest : public testing::TestWithParam<Program> {};

TEST_P(ProgramsTest, Runs) {
  const Program& program = GetParam();
  ASHLAR_NEEDS_MOUNTING(program.device != DeviceKind::image);
  MountedVolume volume(program.device, kBytes);
  // Some of them run as a user of their own.
  std::filesystem::permissions(volume.root().parent_path(), std::filesystem::perms{0755});
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(program.engine)));
  const std::string script = std::string(ASHLAR_SCRIPTS) + "/" + program.name + ".sh";
  EXPECT_TRUE(succeeded(run({"bash", script, volume.root().string(), volume.outside().string()}, kDeadline)));
  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(succeeded(volume.check()));
}

std::string program_name(const testing::TestParamInfo<Program>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(In, ProgramsTest,
                         testing::Values(Program{"archives", Engine::io_uring, DeviceKind::image},
                                         Program{"cmake", Engine::io_uring, DeviceKind::loop_512},
                                         Program{"copies", Engine::aio, DeviceKind::image},
                                         Program{"dbench", Engine::io_uring, DeviceKind::loop_512},
                                         Program{"git", Engine::io_uring, DeviceKind::image},
                                         Program{"git_import", Engine::aio, DeviceKind::loop_4096},
                                         Program{"inotify", Engine::io_uring, DeviceKind::image},
                                         Program{"locks", Engine::io_uring, DeviceKind::image},
                                         Program{"overlay", Engine::io_uring, DeviceKind::loop_4096},
                                         Program{"postgres", Engine::io_uring, DeviceKind::loop_512},
                                         Program{"self_build", Engine::io_uring, DeviceKind::loop_512},
                                         Program{"sqlite", Engine::aio, DeviceKind::loop_512},
                                         Program{"stress", Engine::io_uring, DeviceKind::image}),
                         program_name);

}  // namespace
}  // namespace ashlar::programs_test
