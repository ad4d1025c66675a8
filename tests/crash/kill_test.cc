// The daemon killed at random times under the load of several threads: whatever an fsync had acknowledged is there
// after the next mount, whole. What was acknowledged is kept here, outside the volume.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/crash/budget.h"
#include "tests/mount/mounted_volume.h"
#include "tests/volume/pattern.h"

namespace ashlar::crash_test {
namespace {

using mount_test::Engine;
using mount_test::run;
using mount_test::succeeded;
using volume::testing::pattern;

constexpr std::uint64_t kVolumeBytes = 256ULL << 20;
constexpr unsigned kThreads = 4;
constexpr auto kPatience = std::chrono::seconds(30);

// The daemon as a child of ours, so that it can be killed by its number.
class Daemon {
 public:
  Daemon(Engine engine, const std::string& device, const std::string& mount_point) {
    const std::string program = mount_test::program("ashlarfs");
    const std::string options = "io_engine=" + std::string(mount_test::name_of(engine)) + ",commit=1";
    child_ = fork();
    if (child_ == 0) {
      execl(program.c_str(), program.c_str(), "-f", "-o", options.c_str(), device.c_str(), mount_point.c_str(),
            nullptr);
      _exit(127);
    }
  }
  ~Daemon() { kill_now(); }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  void kill_now() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

 private:
  pid_t child_ = -1;
};

bool is_mounted(const std::string& path) {
  constexpr long kFuse = 0x65735546;
  struct statfs status {};
  return statfs(path.c_str(), &status) == 0 && status.f_type == kFuse;
}

// Contents that tell which file they are of, which version, and that they are whole.
std::string contents_of(unsigned thread, std::uint64_t number) {
  const auto seed = static_cast<unsigned>(thread * 1'000'003 + number);
  return std::to_string(number) + "\n" + pattern(1 + (seed * 7919ULL) % 40'000, seed);
}

bool write_and_sync(const std::string& path, const std::string& contents) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  const bool written = write(fd, contents.data(), contents.size()) == static_cast<ssize_t>(contents.size());
  const bool synced = written && fsync(fd) == 0;
  return close(fd) == 0 && synced;
}

bool sync_directory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = fsync(fd) == 0;
  close(fd);
  return synced;
}

std::string read_all(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "cannot be opened";
  std::string text;
  char buffer[65536];
  for (ssize_t got = 0; (got = read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(fd);
  return text;
}

// One thread's directory: files that are made and synced, some removed again, and one that is replaced over and over.
class Writer {
 public:
  Writer(unsigned id, const std::string& root) : id_(id), directory_(root + "/t" + std::to_string(id)) {}

  // Until something fails, which is when the daemon is gone.
  void work() {
    if (mkdir(directory_.c_str(), 0755) != 0 && errno != EEXIST) return;
    if (!sync_directory(directory_.substr(0, directory_.rfind('/')))) return;
    while (step()) {
    }
  }

  void verify() const {
    SCOPED_TRACE("thread " + std::to_string(id_));
    for (const auto& [number, there] : files_) {
      if (there) {
        EXPECT_TRUE(read_all(path(number)) == contents_of(id_, number)) << "file " << number;
      } else {
        EXPECT_NE(access(path(number).c_str(), F_OK), 0) << "file " << number << " was removed";
      }
    }
    if (version_ == 0) return;
    const std::string current = read_all(directory_ + "/current");
    const std::uint64_t shown = std::strtoull(current.c_str(), nullptr, 10);
    EXPECT_GE(shown, version_);
    EXPECT_LE(shown, next_);
    EXPECT_TRUE(current == contents_of(id_, shown)) << "version " << shown;
  }

  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  [[nodiscard]] std::string path(std::uint64_t number) const { return directory_ + "/f" + std::to_string(number); }

  bool step() {
    const std::uint64_t number = ++next_;
    switch (number % 3) {
      case 0: {
        if (!write_and_sync(directory_ + "/new", contents_of(id_, number))) return false;
        if (rename((directory_ + "/new").c_str(), (directory_ + "/current").c_str()) != 0) return false;
        if (!sync_directory(directory_)) return false;
        version_ = number;
        break;
      }
      case 1:
        if (!write_and_sync(path(number), contents_of(id_, number))) return false;
        files_[number] = true;
        break;
      default: {
        const std::uint64_t victim = number > 40 ? number - 40 : 0;
        const auto found = files_.find(victim);
        if (found == files_.end() || !found->second) break;
        files_.erase(found);  // from here on it may be there or not
        if (unlink(path(victim).c_str()) != 0 || !sync_directory(directory_)) return false;
        files_[victim] = false;
      }
    }
    ++acknowledged_;
    return true;
  }

  unsigned id_;
  std::string directory_;
  std::map<std::uint64_t, bool> files_;  // acknowledged: there, or removed
  std::uint64_t version_ = 0;            // of "current", acknowledged
  std::uint64_t next_ = 0;
  std::uint64_t acknowledged_ = 0;
};

class KillTest : public ::testing::TestWithParam<Engine> {
 protected:
  void TearDown() override {
    // After a failure in the middle a dead mount may be left.
    if (HasFailure()) static_cast<void>(run({"umount", "--lazy", root_}));
  }

  void wait_until_mounted() const {
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    while (!is_mounted(root_) && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(is_mounted(root_));
  }

  mount_test::TempDir temp_;
  std::string root_ = temp_.path().string() + "/mnt";
};

TEST_P(KillTest, AcknowledgedIsThere) {
  ASHLAR_NEEDS_MOUNTING(false);
  const std::uint64_t rounds = scaled(6, 2);
  const std::uint64_t seed = first_seed();
  SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::filesystem::create_directory(root_);
  const mount_test::TestDevice device(temp_.path(), mount_test::DeviceKind::image, kVolumeBytes);
  ASSERT_TRUE(succeeded(run({mount_test::program("mkfs.ashlarfs"), "-q", device.path()})));
  std::vector<Writer> writers;
  for (unsigned i = 0; i < kThreads; ++i) writers.emplace_back(i, root_);

  for (std::uint64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Daemon daemon(GetParam(), device.path(), root_);
    ASSERT_NO_FATAL_FAILURE(wait_until_mounted());
    for (const Writer& writer : writers) writer.verify();
    std::vector<std::thread> threads;
    for (Writer& writer : writers) threads.emplace_back([&writer] { writer.work(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(100 + random() % 900));
    daemon.kill_now();
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(succeeded(run({"umount", "--lazy", root_})));
    ASSERT_TRUE(succeeded(run({mount_test::program("fsck.ashlarfs"), "-n", "-f", device.path()})));
    if (HasFailure()) return;
  }
  Daemon daemon(GetParam(), device.path(), root_);
  ASSERT_NO_FATAL_FAILURE(wait_until_mounted());
  std::uint64_t acknowledged = 0;
  for (const Writer& writer : writers) {
    writer.verify();
    acknowledged += writer.acknowledged();
  }
  EXPECT_GT(acknowledged, rounds);
  daemon.kill_now();
  EXPECT_TRUE(succeeded(run({"umount", "--lazy", root_})));
  std::cout << rounds << " rounds, " << acknowledged << " operations acknowledged\n";
}

INSTANTIATE_TEST_SUITE_P(Engines, KillTest, ::testing::Values(Engine::io_uring, Engine::aio),
                         [](const ::testing::TestParamInfo<Engine>& engine) {
                           return std::string(mount_test::name_of(engine.param));
                         });

}  // namespace
}  // namespace ashlar::crash_test
