// ashlarctl defrag on a mounted volume, with programs at work on the files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 1024;

class Defragmented : public ::testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    volume_ = std::make_unique<MountedVolume>(DeviceKind::image, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, "relatime")));
  }

  [[nodiscard]] static CommandResult defrag(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {program("ashlarctl"), "defrag"});
    return run(arguments);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (volume_->root() / name).string(); }

  static std::string block_of(std::size_t index, unsigned version) {
    std::string block = "block " + std::to_string(index) + " version " + std::to_string(version) + "\n";
    block.resize(kBlock, static_cast<char>('a' + (index + version) % 26));
    return block;
  }

  // Written from the beginning to the end, then in random order, each time to a new place.
  void age(const std::string& name, std::size_t blocks = kBlocks) const {
    const int fd = open(path(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0);
    for (std::size_t i = 0; i < blocks; ++i) write_block(fd, i, 0);
    ASSERT_EQ(fsync(fd), 0);
    std::vector<std::size_t> order(blocks);
    for (std::size_t i = 0; i < blocks; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    for (std::size_t i = 0; i < blocks; ++i) {
      write_block(fd, order[i], 1);
      if (i % 8 == 7) {
        ASSERT_EQ(fdatasync(fd), 0);
      }
    }
    ASSERT_EQ(fsync(fd), 0);
    close(fd);
  }
  static void write_block(int fd, std::size_t index, unsigned version) {
    const std::string block = block_of(index, version);
    ASSERT_EQ(pwrite(fd, block.data(), kBlock, static_cast<off_t>(index * kBlock)), static_cast<ssize_t>(kBlock));
  }
  void expect_versions(const std::string& name, const std::vector<unsigned>& versions) const {
    std::ifstream file(path(name), std::ios::binary);
    std::string block(kBlock, '\0');
    for (std::size_t i = 0; i < versions.size(); ++i) {
      ASSERT_TRUE(file.read(block.data(), kBlock));
      ASSERT_EQ(block, block_of(i, versions[i])) << "block " << i;
    }
  }
  [[nodiscard]] struct stat attributes(const std::string& name) const {
    struct stat found {};
    EXPECT_EQ(stat(path(name).c_str(), &found), 0);
    return found;
  }
  void remount() const {
    ASSERT_TRUE(succeeded(volume_->unmount()));
    ASSERT_TRUE(succeeded(volume_->check(true)));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }

  std::unique_ptr<MountedVolume> volume_;
};

bool equal(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

TEST_F(Defragmented, AFileIsInOnePieceAndOtherwiseAsItWas) {
  age("file");
  const struct stat before = attributes("file");
  const int fd = open(path("file").c_str(), O_RDONLY | O_CLOEXEC);
  const auto* const mapped = static_cast<const char*>(mmap(nullptr, kBlocks * kBlock, PROT_READ, MAP_SHARED, fd, 0));
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(std::string(mapped, kBlock), block_of(0, 1));
  const struct stat read = attributes("file");  // reading moved its access time

  const CommandResult looked = defrag({"-n", "-v", path("file")});
  EXPECT_TRUE(succeeded(looked));
  EXPECT_THAT(looked.output, HasSubstr("4 MiB to move"));
  const CommandResult done = defrag({"-v", path("file")});
  EXPECT_TRUE(succeeded(done));
  EXPECT_THAT(done.output, HasSubstr(" before, 1 after, 4 MiB moved"));
  const CommandResult again = defrag({"-v", path("file")});
  EXPECT_TRUE(succeeded(again));
  EXPECT_THAT(again.output, HasSubstr("1 extent before, 1 after, 0 bytes moved"));

  const struct stat after = attributes("file");
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_EQ(after.st_blocks, before.st_blocks);
  EXPECT_TRUE(equal(after.st_mtim, before.st_mtim));
  EXPECT_TRUE(equal(after.st_ctim, before.st_ctim));
  EXPECT_TRUE(equal(after.st_atim, read.st_atim));
  for (std::size_t i = 0; i < kBlocks; ++i) ASSERT_EQ(std::string(mapped + i * kBlock, kBlock), block_of(i, 1));
  munmap(const_cast<char*>(mapped), kBlocks * kBlock);
  close(fd);
  remount();
  expect_versions("file", std::vector<unsigned>(kBlocks, 1));
}

TEST_F(Defragmented, ItsWriterAndReaderNoticeNothing) {
  age("file");
  std::vector<unsigned> versions(kBlocks, 1);
  std::atomic<bool> over = false;
  std::atomic<unsigned> written = 0;
  std::thread writer([&] {
    std::mt19937 random(2);
    const int fd = open(path("file").c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    std::string read(kBlock, '\0');
    for (unsigned i = 0; !over || i < 100; ++i) {
      const std::size_t at = random() % kBlocks;
      versions[at] = 2 + i;
      ASSERT_NO_FATAL_FAILURE(write_block(fd, at, versions[at]));
      if (i % 16 == 0) {
        ASSERT_EQ(fdatasync(fd), 0);
      }
      // From the page cache, or past it.
      const std::size_t look = random() % kBlocks;
      if (i % 3 == 0) {
        posix_fadvise(fd, static_cast<off_t>(look * kBlock), kBlock, POSIX_FADV_DONTNEED);
      }
      ASSERT_EQ(pread(fd, read.data(), kBlock, static_cast<off_t>(look * kBlock)), static_cast<ssize_t>(kBlock));
      ASSERT_EQ(read, block_of(look, versions[look]));
      ++written;
    }
    ASSERT_EQ(fsync(fd), 0);
    close(fd);
  });
  for (unsigned round = 0; round < 10 || written < 500; ++round) EXPECT_TRUE(succeeded(defrag({path("file")})));
  over = true;
  writer.join();
  expect_versions("file", versions);
  remount();
  expect_versions("file", versions);
  // By itself it leaves pieces of a MiB and more where they are, and there may be some.
  EXPECT_THAT(defrag({"--min-run", "8M", path("file")}).output, HasSubstr("1 after"));
}

TEST_F(Defragmented, DirectoriesLinksAndOtherFilesystems) {
  std::filesystem::create_directories(volume_->root() / "d/e");
  age("d/one", 64);
  age("d/e/two", 64);
  age("apart", 64);
  std::filesystem::create_symlink("../apart", volume_->root() / "d/link");
  std::filesystem::create_symlink(volume_->root(), volume_->root() / "d/e/loop");
  ASSERT_EQ(mkfifo(path("d/fifo").c_str(), 0600), 0);

  const CommandResult flat = defrag({path("d")});
  EXPECT_EQ(flat.exit_status, 1);
  EXPECT_THAT(flat.errors, HasSubstr("give -r"));
  EXPECT_EQ(defrag({path("d/link")}).exit_status, 1);
  EXPECT_THAT(defrag({path("d/fifo")}).errors, HasSubstr("not a regular file"));
  EXPECT_THAT(defrag({path("nothing")}).errors, HasSubstr("No such file"));
  const std::string elsewhere = (volume_->outside() / "file").string();
  std::ofstream(elsewhere) << "text";
  const CommandResult other = defrag({elsewhere, path("apart")});
  EXPECT_EQ(other.exit_status, 1);
  EXPECT_THAT(other.errors, HasSubstr("not on an AshlarFS volume"));
  EXPECT_THAT(other.output, HasSubstr(" of 1 file moved")) << "the others are done nevertheless";

  const CommandResult deep = defrag({"-r", "-v", path("d")});
  EXPECT_TRUE(succeeded(deep));
  EXPECT_THAT(deep.output, HasSubstr("/d/one: "));
  EXPECT_THAT(deep.output, HasSubstr("/d/e/two: "));
  EXPECT_THAT(deep.output, HasSubstr("2 files: "));
  EXPECT_THAT(deep.output, HasSubstr("2 after; 512 KiB of 2 files moved"));
  EXPECT_THAT(deep.output, Not(HasSubstr("apart")));
}

TEST_F(Defragmented, FilefragCountsWhatDefragPutsTogether) {
  const auto filefrag = [](std::vector<std::string> paths) {
    paths.insert(paths.begin(), {program("ashlarctl"), "filefrag"});
    return run(paths);
  };
  age("file");
  std::ofstream(path("small")) << "text";
  const CommandResult before = filefrag({path("file"), path("small")});
  EXPECT_TRUE(succeeded(before));
  EXPECT_THAT(before.output, HasSubstr(path("small") + ": 0 extents found\n")) << "it is within the tree";
  EXPECT_THAT(before.output, Not(HasSubstr(path("file") + ": 1 extent found\n")));
  const std::string count = before.output.substr(0, before.output.find(" extents found"));
  EXPECT_THAT(defrag({"-v", path("file")}).output, HasSubstr(count + " extents before, 1 after"))
      << "as defrag counts them";
  EXPECT_EQ(filefrag({path("file")}).output, path("file") + ": 1 extent found\n");

  std::filesystem::create_symlink("file", volume_->root() / "link");
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  const std::string elsewhere = (volume_->outside() / "file").string();
  std::ofstream(elsewhere) << "text";
  const CommandResult some = filefrag({path("link"), path("fifo"), path(""), elsewhere, path("none"), path("file")});
  EXPECT_EQ(some.exit_status, 1);
  EXPECT_EQ(some.output, path("file") + ": 1 extent found\n");
  for (const char* const why : {"/link: is a symbolic link", "/fifo: is not a regular file", "/: is not a regular file",
                                "not on an AshlarFS volume", "/none: No such file"}) {
    EXPECT_THAT(some.errors, HasSubstr(why));
  }
}

// Lines of the table: "   0:        0..       3:      34816..     34819:      4:             last,eof".
std::vector<std::string> extent_lines(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream text(output);
  for (std::string line; std::getline(text, line);) {
    if (line.find("..") != std::string::npos) lines.push_back(line);
  }
  return lines;
}

TEST_F(Defragmented, FilefragShowsEveryExtent) {
  const auto filefrag = [this](const char* name) {
    const CommandResult result = run({program("ashlarctl"), "filefrag", "-v", path(name)});
    EXPECT_TRUE(succeeded(result));
    return result.output;
  };
  std::ofstream(path("small")) << "text";
  EXPECT_EQ(filefrag("small"),
            "File size of " + path("small") + " is 4 (1 block of 4096 bytes)\n" +
                " ext:     logical_offset:        physical_offset: length:   expected: flags:\n"
                "   0:        0..       3:          0..         3:      4:             last,inline,eof\n" +
                path("small") + ": 0 extents found\n");
  age("file");
  const std::string before = filefrag("file");
  const std::string count = before.substr(before.rfind("file: ") + 6);
  const std::vector<std::string> lines = extent_lines(before);
  EXPECT_EQ(std::to_string(lines.size()) + " extents found\n", count) << before;
  EXPECT_THAT(lines.back(), ::testing::EndsWith(": last,eof"));
  ASSERT_TRUE(succeeded(defrag({path("file")})));
  const std::string after = filefrag("file");
  ASSERT_EQ(extent_lines(after).size(), 1U) << after;
  EXPECT_THAT(after, HasSubstr("   0:        0.."));

  const int fd = open(path("holes").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  int flags = FS_NOCOW_FL;
  ASSERT_EQ(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
  ASSERT_EQ(fallocate(fd, 0, 0, 1 << 20), 0);
  const std::string block(64U << 10, 'x');
  ASSERT_EQ(pwrite(fd, block.data(), block.size(), 8 << 20), static_cast<ssize_t>(block.size()));
  ASSERT_EQ(fsync(fd), 0);
  close(fd);
  const std::vector<std::string> holes = extent_lines(filefrag("holes"));
  ASSERT_EQ(holes.size(), 2U);
  EXPECT_THAT(holes[0], HasSubstr("   0:        0..     255: "));
  EXPECT_THAT(holes[0], ::testing::EndsWith(" unwritten"));
  EXPECT_THAT(holes[1], HasSubstr("   1:     2048..    2063: "));
  EXPECT_THAT(holes[1], ::testing::EndsWith(" last,no_checksum,eof"));
}

TEST_F(Defragmented, IsForTheOwnerAndRoot) {
  age("theirs", 64);
  age("ours", 64);
  constexpr unsigned kNobody = 65534;
  ASSERT_EQ(chown(path("ours").c_str(), kNobody, kNobody), 0);
  std::filesystem::permissions(volume_->outside().parent_path(), std::filesystem::perms(0755));
  const std::filesystem::path reachable = volume_->outside() / "ashlarctl";
  std::filesystem::copy_file(program("ashlarctl"), reachable);
  const CommandResult result = run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(),
                                    "defrag", path("theirs"), path("ours")});
  EXPECT_EQ(result.exit_status, 1) << result.output << result.errors;
  EXPECT_THAT(result.errors, HasSubstr("theirs: only its owner and root"));
  const CommandResult asked = run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", reachable.string(),
                                   "filefrag", "-v", path("theirs"), path("ours")});
  EXPECT_EQ(extent_lines(asked.output).empty(), false) << asked.errors;
  EXPECT_THAT(asked.errors, HasSubstr("theirs: only its owner and root"));
  EXPECT_THAT(result.output, HasSubstr(" of 1 file moved"));
  // What protects contents does not keep them where they are.
  const int fd = open(path("theirs").c_str(), O_RDONLY | O_CLOEXEC);
  int flags = FS_IMMUTABLE_FL;
  ASSERT_EQ(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
  EXPECT_THAT(defrag({path("theirs")}).output, HasSubstr("1 after; 256 KiB of 1 file moved"));
  flags = 0;
  EXPECT_EQ(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
  close(fd);
}

TEST_F(Defragmented, DamageIsToldAndTheRestGoesOn) {
  age("hurt", 64);
  age("sound", 64);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  {
    std::fstream image(volume_->device().image(), std::ios::in | std::ios::out | std::ios::binary);
    // The blocks of both files look alike: this is the one that the file that was made first has.
    const std::string wanted = block_of(20, 1);
    std::string block(kBlock, '\0');
    std::streamoff at = 0;
    while (image.read(block.data(), kBlock) && block != wanted) at += kBlock;
    ASSERT_TRUE(image);
    image.seekp(at + 100);
    image << "damage";
  }
  ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  const CommandResult result = defrag({"-r", "-v", volume_->root().string()});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.errors, HasSubstr("cannot be read"));
  EXPECT_THAT(result.output, HasSubstr(", 1 after, 256 KiB moved"));
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
}

TEST_F(Defragmented, AReadOnlyVolumeIsOnlyLookedAt) {
  age("file", 64);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  ASSERT_TRUE(succeeded(volume_->check()));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio, "ro")));
  EXPECT_TRUE(succeeded(defrag({"-n", path("file")})));
  const CommandResult refused = defrag({path("file")});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_THAT(refused.errors, HasSubstr("read-only"));
}

}  // namespace
}  // namespace ashlar::mount_test
