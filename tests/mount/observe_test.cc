// What ashlarctl tells of a mounted volume, and what it finds and heals there.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kDataBlocks = 64;

class Observed : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }

  [[nodiscard]] CommandResult ctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program("ashlarctl"));
    return run(arguments);
  }
  [[nodiscard]] json stat() const {
    const CommandResult result = ctl({"stat", "--json", root()});
    EXPECT_TRUE(succeeded(result));
    return json::parse(result.output, nullptr, false);
  }
  [[nodiscard]] std::string root() const { return volume_->root().string(); }

  // A file in which no two blocks are equal, nor equal to anything else.
  void write_file(const std::string& name) const {
    std::string data;
    for (std::size_t i = 0; i < kDataBlocks; ++i) {
      std::string block = "block " + std::to_string(i) + " of " + name + "\n";
      block.resize(kBlock, static_cast<char>('a' + i % 26));
      data += block;
    }
    const int fd = open((volume_->root() / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(write(fd, data.data(), data.size()), static_cast<ssize_t>(data.size()));
    ASSERT_EQ(fsync(fd), 0);
    close(fd);
  }

  // Where in the image block `index` of the file lies.
  [[nodiscard]] std::uint64_t place_of(const std::string& name, std::size_t index) const {
    const std::string wanted = "block " + std::to_string(index) + " of " + name + "\n";
    std::ifstream image(volume_->device().image(), std::ios::binary);
    std::string block(kBlock, '\0');
    for (std::uint64_t at = 0; image.read(block.data(), kBlock); at += kBlock) {
      if (block.starts_with(wanted)) return at;
    }
    ADD_FAILURE() << "not found";
    return 0;
  }

  [[nodiscard]] std::string bytes_at(std::uint64_t offset) const {
    std::ifstream image(volume_->device().image(), std::ios::binary);
    image.seekg(static_cast<std::streamoff>(offset));
    std::string bytes(kBlock, '\0');
    image.read(bytes.data(), kBlock);
    return bytes;
  }

  // Every place in the image where block `index` of what was the file's contents lies.
  void damage_all(const std::string& name, std::size_t index) const {
    const std::string wanted = "block " + std::to_string(index) + " of " + name + "\n";
    std::ifstream image(volume_->device().image(), std::ios::binary);
    std::string block(kBlock, '\0');
    int found = 0;
    for (std::uint64_t at = 0; image.read(block.data(), kBlock); at += kBlock) {
      if (!block.starts_with(wanted)) continue;
      damage(at);
      ++found;
    }
    EXPECT_GT(found, 0);
  }

  // Beneath the daemon, which reads the device and not the page cache.
  void damage(std::uint64_t offset) const {
    const int fd = open(volume_->device().image().c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(pwrite(fd, "damage", 6, static_cast<off_t>(offset + 100)), 6);
    ASSERT_EQ(fsync(fd), 0);
    close(fd);
  }

  // The bytes at which the copies of the tree's root begin.
  [[nodiscard]] std::array<std::uint64_t, 2> root_copies() const {
    const json info = json::parse(ctl({"info", "--json", volume_->device().path()}).output, nullptr, false);
    return {info["root"]["blocks"][0].get<std::uint64_t>() * kBlock,
            info["root"]["blocks"][1].get<std::uint64_t>() * kBlock};
  }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_F(Observed, StatTellsStateEngineAndFigures) {
  write_file("file");
  const json status = stat();
  EXPECT_EQ(status["state"], "read-write");
  EXPECT_EQ(status["failure"], "");
  EXPECT_EQ(status["errors_policy"], "remount-ro");
  EXPECT_EQ(status["io_engine"]["name"], "io_uring");
  EXPECT_THAT(status["io_engine"]["flags"].get<std::string>(), HasSubstr("registered_file"));
  EXPECT_EQ(status["io_engine"]["depth"], 64);
  EXPECT_GE(status["fsync"]["answered"].get<int>(), 1);
  EXPECT_GE(status["fsync"]["log_writes"].get<int>(), 1);
  EXPECT_LE(status["fsync"]["log_writes"].get<int>(), status["log"]["syncs"].get<int>());
  EXPECT_GE(status["io"]["operations"]["write"]["bytes"].get<std::size_t>(), kDataBlocks * kBlock);
  EXPECT_GE(status["io"]["operations"]["write_durable"]["completed"].get<int>(), 1);
  EXPECT_FALSE(status["io"]["operations"]["write"]["latency_ns"]["histogram"].empty());
  EXPECT_EQ(status["errors"]["since_mkfs"]["metadata"], 0);
  const CommandResult text = ctl({"stat", volume_->device().path()});
  EXPECT_TRUE(succeeded(text));
  for (const char* part : {"state         read-write", "errors=       remount-ro", "io_uring [", "FUSE through",
                           "log  ", "cache  ", "fsync  ", "write_durable", "metadata 0 found"}) {
    EXPECT_THAT(text.output, HasSubstr(part));
  }
  // Below the root will do, and what is not mounted is said to be so.
  EXPECT_TRUE(succeeded(ctl({"stat", (volume_->root() / ".").string()})));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_TRUE(refused(ctl({"stat", volume_->device().path()}), {volume_->device().path(), "not mounted"}));
  EXPECT_TRUE(refused(ctl({"scrub", root()}), {root()}));
}

TEST_F(Observed, TheStatusIsNobodysToChange) {
  constexpr const char* kName = "user.ashlarfs.status";
  // setxattr(2), removexattr(2): ENOTSUP
  EXPECT_EQ(setxattr(root().c_str(), kName, "x", 1, 0), -1);
  EXPECT_EQ(errno, ENOTSUP);
  EXPECT_EQ(removexattr(root().c_str(), kName), -1);
  EXPECT_EQ(errno, ENOTSUP);
  EXPECT_EQ(listxattr(root().c_str(), nullptr, 0), 0);
  EXPECT_EQ(stat()["state"], "read-write");
  // Elsewhere it is a name like any other.
  write_file("file");
  EXPECT_EQ(setxattr((volume_->root() / "file").c_str(), kName, "x", 1, 0), 0);
}

TEST_F(Observed, ACopyThatMeetsDamageTellsWhatItHasDone) {
  // copy_file_range(2): the bytes copied, when there are some; EIO only when there are none.
  constexpr std::size_t kCopyStep = 1U << 20;  // that the daemon takes at a time
  constexpr std::size_t kFiller = kCopyStep / kBlock;
  write_file("tail");
  {
    std::ofstream source(volume_->root() / "source", std::ios::binary);
    std::ifstream tail(volume_->root() / "tail", std::ios::binary);
    source << std::string(kFiller * kBlock, 'f') << tail.rdbuf();
  }
  std::filesystem::remove(volume_->root() / "tail");
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  damage_all("tail", 3);
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  const int from = open((volume_->root() / "source").c_str(), O_RDONLY | O_CLOEXEC);
  const int to = open((volume_->root() / "target").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  off64_t offset = 0;
  EXPECT_EQ(copy_file_range(from, &offset, to, nullptr, 4 * kCopyStep, 0), static_cast<ssize_t>(kCopyStep));
  EXPECT_EQ(offset, static_cast<off64_t>(kCopyStep));
  EXPECT_EQ(copy_file_range(from, &offset, to, nullptr, 4 * kCopyStep, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(std::filesystem::file_size(volume_->root() / "target"), kCopyStep);
  close(from);
  close(to);
}

TEST_F(Observed, ABadMetadataCopyIsHealedWhenItIsRead) {
  write_file("file");
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));  // waits for the daemon's end
  const std::uint64_t first = root_copies()[0];
  const std::string good = bytes_at(first);
  damage(first);
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio)));
  EXPECT_TRUE(std::filesystem::exists(volume_->root() / "file"));
  EXPECT_EQ(bytes_at(first), good);
  EXPECT_EQ(stat()["errors"]["since_mount"]["metadata_healed"], 1);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  EXPECT_THAT(ctl({"info", volume_->device().path()}).output, HasSubstr("metadata 1 found, 1 healed; data 0"));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  EXPECT_EQ(stat()["errors"]["since_mkfs"]["metadata_healed"], 1);
  EXPECT_EQ(stat()["errors"]["since_mount"]["metadata_healed"], 0);
}

TEST_F(Observed, ScrubFindsHealsAndNames) {
  write_file("sound");
  std::filesystem::create_directory(volume_->root() / "dir");
  write_file("dir/hurt");
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  const CommandResult sound = ctl({"scrub", "--rate", "0", root()});
  EXPECT_TRUE(succeeded(sound));
  EXPECT_THAT(sound.output, HasSubstr("no damage"));

  const std::uint64_t second = root_copies()[1];
  const std::string good = bytes_at(second);
  damage(second);
  const CommandResult healed = ctl({"scrub", root()});
  EXPECT_EQ(healed.exit_status, 1) << healed.output << healed.errors;
  EXPECT_THAT(healed.output, HasSubstr("healed from the other copy"));
  EXPECT_EQ(bytes_at(second), good);
  EXPECT_TRUE(succeeded(ctl({"scrub", "--rate", "0", root()})));

  damage(place_of("dir/hurt", 5));
  const CommandResult named = ctl({"scrub", root()});
  EXPECT_EQ(named.exit_status, 4) << named.output << named.errors;
  EXPECT_THAT(named.output, HasSubstr("bytes 20480 to 24575 are damaged"));
  EXPECT_THAT(named.output, HasSubstr("damaged: " + (volume_->root() / "dir/hurt").string()));
  EXPECT_EQ(named.output.find("sound"), std::string::npos);
  const CommandResult listed = ctl({"scrub", "--json", root()});
  EXPECT_EQ(listed.exit_status, 4);
  const json report = json::parse(listed.output, nullptr, false);
  EXPECT_EQ(report["finished"], true);
  ASSERT_EQ(report["files"].size(), 1U);
  EXPECT_EQ(report["files"][0]["path"], (volume_->root() / "dir/hurt").string());
  EXPECT_GE(report["data_bytes"].get<std::size_t>(), 2 * kDataBlocks * kBlock);
  EXPECT_EQ(stat()["errors"]["since_mkfs"]["data"], 2);
}

TEST_F(Observed, ScrubIsForRootAndTheOwner) {
  std::filesystem::permissions(volume_->outside().parent_path(), std::filesystem::perms(0755));
  const std::filesystem::path reachable = volume_->outside() / "ashlarctl";
  std::filesystem::copy_file(program("ashlarctl"), reachable);
  const std::vector<std::string> as_nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                              reachable.string()};
  std::vector<std::string> scrub = as_nobody;
  scrub.insert(scrub.end(), {"scrub", root()});
  const CommandResult result = run(scrub);
  EXPECT_EQ(result.exit_status, 8) << result.output << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("only root"));
}

TEST_F(Observed, ScrubCanBeStopped) {
  constexpr int kFiles = 16;  // 4 MiB, which take four seconds
  for (int i = 0; i < kFiles; ++i) ASSERT_NO_FATAL_FAILURE(write_file("file" + std::to_string(i)));
  const CommandResult result =
      run({"timeout", "--preserve-status", "--signal=INT", "1", program("ashlarctl"), "scrub", "--rate", "1", root()});
  EXPECT_EQ(result.exit_status, 32) << result.output << result.errors;
  EXPECT_THAT(result.output, HasSubstr("stopped early"));
}

// The figures of docs/recovery.md. Group commit must never cost more than a log write an fsync.
TEST_F(Observed, GroupCommit) {
  constexpr int kSyncs = 200;
  for (const int count : {1, 4, 16}) {
    const json before = stat()["fsync"];
    std::vector<std::thread> threads;
    for (int id = 0; id < count; ++id) {
      threads.emplace_back([&, id] {
        const std::string name = "group" + std::to_string(count) + "-" + std::to_string(id);
        const int fd = open((volume_->root() / name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        ASSERT_GE(fd, 0);
        const std::string block(kBlock, 'x');
        for (int i = 0; i < kSyncs / count; ++i) {
          EXPECT_EQ(write(fd, block.data(), block.size()), static_cast<ssize_t>(block.size()));
          EXPECT_EQ(fdatasync(fd), 0);
        }
        close(fd);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const json after = stat()["fsync"];
    const auto grew = [&](const char* name) { return after[name].get<int>() - before[name].get<int>(); };
    EXPECT_GE(grew("answered"), kSyncs / count * count);
    EXPECT_LE(grew("log_writes"), grew("answered") + kSyncs / 10);  // the periodic commit makes some of its own
    std::cout << count << " threads: " << grew("answered") << " fsyncs, " << grew("log_writes") << " log writes, "
              << grew("device_flushes") << " device flushes\n";
  }
}

}  // namespace
}  // namespace ashlar::mount_test
