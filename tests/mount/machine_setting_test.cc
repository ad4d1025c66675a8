// That tests which change the machine leave it as it was, in whatever order they end.
#include "tests/mount/machine_setting.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <vector>

#include "tests/mount/environment.h"

namespace ashlar::mount_test {
namespace {

class MachineSettingTest : public testing::Test {
 protected:
  void SetUp() override { std::ofstream(setting_) << "N\n"; }

  [[nodiscard]] std::unique_ptr<MachineSetting> user() const {
    return std::make_unique<MachineSetting>(setting_, users_);
  }
  [[nodiscard]] std::string value() const {
    std::string word;
    std::ifstream(setting_) >> word;
    return word;
  }
  // What a process of its own that does this ends with.
  static pid_t in_a_process(const std::function<bool()>& action) {
    const pid_t child = fork();
    if (child == 0) _exit(action() ? 0 : 1);
    return child;
  }
  static int status_of(pid_t child) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  TempDir temp_;
  std::filesystem::path setting_ = temp_.path() / "setting";
  std::filesystem::path users_ = temp_.path() / "users";
};

TEST_F(MachineSettingTest, TheLastUserPutsItBack) {
  auto first = user();
  first->set("Y");
  auto second = user();
  second->set("Y");
  first.reset();
  EXPECT_EQ(value(), "Y");
  auto third = user();
  second.reset();
  EXPECT_EQ(value(), "Y");
  third.reset();
  EXPECT_EQ(value(), "N");
  // The next one finds another value, and leaves that.
  std::ofstream(setting_) << "Y\n";
  user()->set("N");
  EXPECT_EQ(value(), "Y");
}

TEST_F(MachineSettingTest, AKilledUserPutsItBack) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t child = in_a_process([&] {
    const auto killed = user();
    killed->set("Y");
    return write(ends[1], "", 1) == 1 && pause() == 0;
  });
  char unused = 0;
  ASSERT_EQ(read(ends[0], &unused, 1), 1);
  EXPECT_EQ(value(), "Y");
  kill(child, SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(status_of(child)));
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (value() != "N" && std::chrono::steady_clock::now() < limit) usleep(1000);
  EXPECT_EQ(value(), "N");
  close(ends[0]);
  close(ends[1]);
}

TEST_F(MachineSettingTest, ItStaysWhileAnybodyUsesIt) {
  constexpr int kProcesses = 8;
  constexpr int kRounds = 100;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(in_a_process([this] {
      for (int round = 0; round < kRounds; ++round) {
        const auto one = user();
        one->set("Y");
        usleep(100);
        if (one->value() != "Y") return false;
      }
      return true;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(value(), "N");
}

TEST_F(MachineSettingTest, AMachineMayBeWithoutIt) {
  const MachineSetting none(temp_.path() / "nothing", users_);
  EXPECT_FALSE(none.exists());
  EXPECT_FALSE(std::filesystem::exists(users_));
}

}  // namespace
}  // namespace ashlar::mount_test
