// Processes that use files of which every byte is known, in files of their own and in one that they share; the bytes
// are compared as they go, and again after the volume was unmounted, checked and mounted anew.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"
#include "tests/posix/exerciser.h"

namespace ashlar::posix_test {
namespace {

using mount_test::DeviceKind;
using mount_test::Engine;
using mount_test::succeeded;

constexpr unsigned kProcesses = 3;
constexpr int kDefaultSteps = 1000;  // of each process; ASHLAR_INTEGRITY_STEPS for more

int steps() {
  const char* const wanted = std::getenv("ASHLAR_INTEGRITY_STEPS");
  return wanted != nullptr ? std::atoi(wanted) : kDefaultSteps;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Combination {
  Engine engine;
  DeviceKind device;
  const char* options = "";
  bool through_rings = false;
};

std::string combination_name(const testing::TestParamInfo<Combination>& info) {
  return std::string(name_of(info.param.engine)) + "_" + std::string(name_of(info.param.device)) +
         (*info.param.options != '\0' ? "_" : "") + info.param.options;
}

class IntegrityTest : public testing::TestWithParam<Combination> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam().device != DeviceKind::image);
    volume_ = std::make_unique<mount_test::MountedVolume>(GetParam().device, mount_test::kSmallVolumeBytes);
    std::string options = GetParam().options;
    if (GetParam().through_rings) {
      ASHLAR_NEEDS_RINGS(rings_.emplace());
      options = "fuse_transport=io_uring";
    }
    volume_->set_mount_options(options);
    ASSERT_TRUE(succeeded(volume_->format()));
    ASSERT_TRUE(succeeded(volume_->mount(GetParam().engine)));
  }
  void TearDown() override { volume_.reset(); }

  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return volume_->root() / name; }
  // What a file must hold in the end, told by the process that knows.
  [[nodiscard]] std::filesystem::path model(const std::string& name) const { return volume_->outside() / name; }

  // Runs it in as many processes at once as there are to be; the number is from 0. It throws what was wrong.
  static void in_processes(const std::function<void(unsigned number)>& exercise) {
    std::vector<pid_t> children;
    for (unsigned i = 0; i < kProcesses; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        try {
          exercise(i);
          _exit(0);
        } catch (const std::exception& error) {
          std::cerr << error.what() << " (process " << i << ")\n";
          _exit(1);
        }
      }
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = 0;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
  }

  void remount() {
    ASSERT_TRUE(succeeded(volume_->unmount()));
    EXPECT_TRUE(succeeded(volume_->check(true)));
    ASSERT_TRUE(succeeded(volume_->mount(GetParam().engine)));
  }

 private:
  std::optional<mount_test::RingSwitch> rings_;
  std::unique_ptr<mount_test::MountedVolume> volume_;
};

TEST_P(IntegrityTest, EveryByteIsWhereItBelongs) {
  const auto name = [](unsigned number) { return "file" + std::to_string(number); };
  in_processes([&](unsigned number) {
    Exerciser exerciser(file(name(number)), number + 1);
    for (int i = 0; i < steps(); ++i) {
      exerciser.step();
      if (i % 100 == 99) exerciser.verify_all();
    }
    exerciser.verify_all();
    exerciser.save_models(model(name(number)));
  });
  if (HasFailure()) return;
  ASSERT_NO_FATAL_FAILURE(remount());
  for (unsigned i = 0; i < kProcesses; ++i) {
    for (const char* which : {".a", ".b"}) {
      EXPECT_TRUE(contents(file(name(i) + which)) == contents(model(name(i) + which))) << name(i) << which;
    }
  }
}

TEST_P(IntegrityTest, ProcessesShareAFile) {
  { std::ofstream created(file("shared")); }
  std::filesystem::resize_file(file("shared"), SharedExerciser::kStripe * SharedExerciser::kStripes);
  in_processes([&](unsigned number) {
    SharedExerciser exerciser(file("shared"), number, kProcesses);
    for (int i = 0; i < steps(); ++i) exerciser.step();
    exerciser.verify_all();
    std::ofstream(model(std::to_string(number))) << exerciser.model();
  });
  if (HasFailure()) return;
  ASSERT_NO_FATAL_FAILURE(remount());
  const std::string found = contents(file("shared"));
  ASSERT_EQ(found.size(), SharedExerciser::kStripe * SharedExerciser::kStripes);
  std::vector<std::string> models;
  for (unsigned i = 0; i < kProcesses; ++i) models.push_back(contents(model(std::to_string(i))));
  for (std::size_t stripe = 0; stripe < SharedExerciser::kStripes; ++stripe) {
    const std::size_t offset = stripe * SharedExerciser::kStripe;
    EXPECT_EQ(
        found.compare(offset, SharedExerciser::kStripe, models[stripe % kProcesses], offset, SharedExerciser::kStripe),
        0)
        << "stripe " << stripe;
  }
}

#ifdef ASHLAR_THROUGH_RINGS
const auto kCombinations = testing::Values(Combination{Engine::io_uring, DeviceKind::image, "", true});
#else
const auto kCombinations = testing::Values(
    Combination{Engine::io_uring, DeviceKind::image}, Combination{Engine::aio, DeviceKind::image},
    Combination{Engine::io_uring, DeviceKind::image, "nodatacow"}, Combination{Engine::aio, DeviceKind::loop_4096});
#endif
INSTANTIATE_TEST_SUITE_P(Posix, IntegrityTest, kCombinations, combination_name);

}  // namespace
}  // namespace ashlar::posix_test
