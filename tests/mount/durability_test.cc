// What makes a change durable on a mount does so: after it the volume stops as if the power had gone
// (XFS_IOC_GOINGDOWN), which loses everything else, and is mounted again.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

// Nothing becomes durable because time passes.
constexpr const char* kNoCommit = "commit=3600";
constexpr unsigned long kGoDown = _IOR('X', 125, std::uint32_t);
constexpr std::size_t kPage = 4096;

#define EXPECT_DONE(call) EXPECT_NE(call, -1) << "errno " << errno

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : number_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    EXPECT_NE(number_, -1) << path << ": errno " << errno;
  }
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }  // NOLINT(google-explicit-constructor): for system calls

 private:
  int number_;
};

std::string text_of(std::size_t bytes, char first) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(first + static_cast<int>(i % 23));
  return text;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(int file, const std::string& text, off_t offset = 0) {
  EXPECT_EQ(pwrite(file, text.data(), text.size(), offset), static_cast<ssize_t>(text.size())) << "errno " << errno;
}

// A way to make something durable, with what was changed before; and how it shows afterwards.
struct Way {
  const char* name;
  void (*change)(const fs::path& root);
  void (*expect)(const fs::path& root);
  DeviceKind device = DeviceKind::image;
  const char* options = "";
};
std::ostream& operator<<(std::ostream& stream, const Way& way) { return stream << way.name; }
std::string way_name(const testing::TestParamInfo<Way>& info) { return info.param.name; }

// The file of most ways, of several blocks and a piece.
const std::string& sample() {
  static const std::string text = text_of(30'001, 'a');
  return text;
}
void expect_sample(const fs::path& root) { EXPECT_TRUE(contents(root / "file") == sample()); }

void write_with(const fs::path& root, int open_flags) {
  const Descriptor file(root / "file", O_CREAT | O_WRONLY | open_flags);
  put(file, sample());
}

void write_then(const fs::path& root, int (*sync)(int)) {
  const Descriptor file(root / "file", O_CREAT | O_WRONLY);
  put(file, sample());
  EXPECT_DONE(sync(file));
}

void write_by_call(const fs::path& root, int call_flags) {
  const Descriptor file(root / "file", O_CREAT | O_WRONLY);
  std::string text = sample();
  const iovec piece{text.data(), text.size()};
  EXPECT_EQ(pwritev2(file, &piece, 1, 0, call_flags), static_cast<ssize_t>(text.size()));
}

void write_direct(const fs::path& root) {
  const Descriptor file(root / "file", O_CREAT | O_WRONLY | O_DIRECT | O_DSYNC);
  alignas(kPage) static std::array<char, 4 * kPage> buffer;
  const std::string text = text_of(buffer.size(), 'd');
  std::copy(text.begin(), text.end(), buffer.begin());
  EXPECT_EQ(write(file, buffer.data(), buffer.size()), static_cast<ssize_t>(buffer.size()));
}
void expect_direct(const fs::path& root) { EXPECT_TRUE(contents(root / "file") == text_of(4 * kPage, 'd')); }

// Sizes and holes are what fdatasync must not forget.
void resize(const fs::path& root) {
  const Descriptor file(root / "file", O_CREAT | O_RDWR);
  put(file, sample());
  EXPECT_DONE(fsync(file));
  EXPECT_DONE(ftruncate(file, 10'000));
  EXPECT_DONE(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPage));
  put(file, "end", 20'000);
  EXPECT_DONE(fdatasync(file));
}
void expect_resized(const fs::path& root) {
  std::string wanted = sample().substr(0, 10'000);
  std::fill_n(wanted.begin(), kPage, '\0');
  wanted.resize(20'000, '\0');
  EXPECT_TRUE(contents(root / "file") == wanted + "end");
}

void map_shared(const fs::path& root) {
  const Descriptor file(root / "file", O_CREAT | O_RDWR);
  EXPECT_DONE(ftruncate(file, static_cast<off_t>(sample().size())));
  void* const memory = mmap(nullptr, sample().size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(memory, MAP_FAILED);
  sample().copy(static_cast<char*>(memory), sample().size());
  EXPECT_DONE(msync(memory, sample().size(), MS_SYNC));
  EXPECT_DONE(munmap(memory, sample().size()));
}

void change_attributes(const fs::path& root) {
  const Descriptor file(root / "file", O_CREAT | O_WRONLY);
  EXPECT_DONE(fchmod(file, 04751));
  EXPECT_DONE(fchown(file, 1001, 1002));
  EXPECT_DONE(fsetxattr(file, "user.kept", "yes", 3, 0));
  const timespec times[] = {{12, 34}, {56, 78}};
  EXPECT_DONE(futimens(file, times));
  EXPECT_DONE(fchmod(file, 04751));  // chown took the bit away
  EXPECT_DONE(fsync(file));
}
void expect_attributes(const fs::path& root) {
  const std::string path = root / "file";
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, S_IFREG | 04751U);
  EXPECT_EQ(status.st_uid, 1001U);
  EXPECT_EQ(status.st_gid, 1002U);
  EXPECT_EQ(status.st_atim.tv_nsec, 34);
  EXPECT_EQ(status.st_mtim.tv_sec, 56);
  char value[8] = {};
  EXPECT_EQ(getxattr(path.c_str(), "user.kept", value, sizeof value), 3);
}

// Every kind of change of names, in a directory of its own each, which is then synced or not.
void change_names(const fs::path& root) {
  for (const char* name : {"old", "gone", "linked"}) const Descriptor file(root / name, O_CREAT | O_WRONLY);
  EXPECT_DONE(mkdir((root / "empty").c_str(), 0755));
  EXPECT_DONE(mkdir((root / "directory").c_str(), 0755));
  EXPECT_DONE(rename((root / "old").c_str(), (root / "directory" / "new").c_str()));
  EXPECT_DONE(unlink((root / "gone").c_str()));
  EXPECT_DONE(rmdir((root / "empty").c_str()));
  EXPECT_DONE(symlink("target", (root / "symlink").c_str()));
  EXPECT_DONE(mkfifo((root / "fifo").c_str(), 0644));
  EXPECT_DONE(link((root / "linked").c_str(), (root / "directory" / "link").c_str()));
}
void expect_names(const fs::path& root) {
  EXPECT_TRUE(fs::exists(root / "directory" / "new"));
  EXPECT_FALSE(fs::exists(root / "old"));
  EXPECT_FALSE(fs::exists(root / "gone"));
  EXPECT_FALSE(fs::exists(root / "empty"));
  EXPECT_TRUE(fs::is_symlink(root / "symlink"));
  EXPECT_TRUE(fs::is_fifo(root / "fifo"));
  EXPECT_TRUE(fs::exists(root / "directory" / "link"));
  EXPECT_EQ(fs::hard_link_count(root / "linked"), 2U);
}

void sync_directory(const fs::path& path) {
  const Descriptor directory(path, O_RDONLY | O_DIRECTORY);
  EXPECT_DONE(fsync(directory));
}

void sync_all(const fs::path& root) {
  const Descriptor directory(root, O_RDONLY | O_DIRECTORY);
  EXPECT_DONE(syncfs(directory));
}

class DurabilityTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(GetParam().device != DeviceKind::image);
    volume_ = std::make_unique<MountedVolume>(GetParam().device, kSmallVolumeBytes);
    ASSERT_TRUE(succeeded(volume_->format()));
    volume_->set_mount_options(kNoCommit);
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring, GetParam().options)));
  }

  // As if the power had gone.
  void stop() {
    {
      const Descriptor directory(volume_->root(), O_RDONLY | O_DIRECTORY);
      std::uint32_t write_nothing = 2;
      EXPECT_DONE(ioctl(directory, kGoDown, &write_nothing));
    }
    ASSERT_TRUE(succeeded(volume_->unmount()));
    EXPECT_TRUE(succeeded(volume_->check()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }

  std::unique_ptr<MountedVolume> volume_;
};

TEST_P(DurabilityTest, StaysWhenThePowerGoes) {
  ASSERT_NO_FATAL_FAILURE(GetParam().change(volume_->root()));
  ASSERT_NO_FATAL_FAILURE(stop());
  GetParam().expect(volume_->root());
}

INSTANTIATE_TEST_SUITE_P(
    By, DurabilityTest,
    testing::Values(Way{"o_sync", [](const fs::path& root) { write_with(root, O_SYNC); }, expect_sample},
                    Way{"o_dsync", [](const fs::path& root) { write_with(root, O_DSYNC); }, expect_sample},
                    Way{"o_dsync_direct", write_direct, expect_direct},
                    Way{"rwf_sync", [](const fs::path& root) { write_by_call(root, RWF_SYNC); }, expect_sample},
                    Way{"rwf_dsync", [](const fs::path& root) { write_by_call(root, RWF_DSYNC); }, expect_sample},
                    Way{"fsync", [](const fs::path& root) { write_then(root, fsync); }, expect_sample},
                    Way{"fdatasync", [](const fs::path& root) { write_then(root, fdatasync); }, expect_sample},
                    Way{"fdatasync_of_sizes", resize, expect_resized},
                    Way{"fsync_of_attributes", change_attributes, expect_attributes},
                    Way{"msync", map_shared, expect_sample},
                    Way{"fsync_of_a_directory",
                        [](const fs::path& root) {
                          change_names(root);
                          sync_directory(root);
                        },
                        expect_names},
                    Way{"syncfs",
                        [](const fs::path& root) {
                          change_names(root);
                          write_with(root, 0);
                          sync_all(root);
                        },
                        [](const fs::path& root) {
                          expect_names(root);
                          expect_sample(root);
                        },
                        DeviceKind::loop_512},
                    Way{"sync_mount",
                        [](const fs::path& root) {
                          write_with(root, 0);
                          change_names(root);
                        },
                        [](const fs::path& root) {
                          expect_sample(root);
                          expect_names(root);
                        },
                        DeviceKind::image, "sync"},
                    Way{"dirsync_mount", change_names, expect_names, DeviceKind::image, "dirsync"}),
    way_name);

class StopTest : public DurabilityTest {};

// Otherwise the tests above would show nothing.
TEST_P(StopTest, LosesWhatNobodyMadeDurable) {
  change_names(volume_->root());
  write_with(volume_->root(), 0);
  ASSERT_NO_FATAL_FAILURE(stop());
  EXPECT_TRUE(fs::is_empty(volume_->root()));
}

class FileHandle {
 public:
  explicit FileHandle(int file) {
    get()->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    EXPECT_DONE(name_to_handle_at(file, "", get(), &mount, AT_EMPTY_PATH));
  }
  // The inode number of what it leads to, or the errno, negative.
  [[nodiscard]] std::int64_t inode_in(const fs::path& root) {
    const Descriptor mount(root, O_RDONLY | O_DIRECTORY);
    const int file = open_by_handle_at(mount, get(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    struct stat status {};
    EXPECT_DONE(fstat(file, &status));
    close(file);
    return static_cast<std::int64_t>(status.st_ino);
  }

 private:
  [[nodiscard]] file_handle* get() { return reinterpret_cast<file_handle*>(memory_.data()); }
  alignas(file_handle) std::array<std::byte, sizeof(file_handle) + MAX_HANDLE_SZ> memory_{};
};

// open_by_handle_at(2): never another file. The numbers of those that were lost are given out once more.
TEST_P(StopTest, HandlesOfLostFilesAreStale) {
  const fs::path root = volume_->root();
  const auto inode_of = [](const fs::path& path) {
    struct stat status {};
    EXPECT_DONE(stat(path.c_str(), &status));
    return static_cast<std::int64_t>(status.st_ino);
  };
  const auto make = [&root](const char* name) { return Descriptor(root / name, O_CREAT | O_RDWR); };
  fs::create_directory(root / "durable");
  FileHandle durable(Descriptor(root / "durable", O_RDONLY | O_DIRECTORY));
  FileHandle top(Descriptor(root, O_RDONLY | O_DIRECTORY));
  sync_directory(root);
  FileHandle lost(make("lost"));
  FileHandle unnamed(Descriptor(root, O_TMPFILE | O_RDWR));
  const std::int64_t number = inode_of(root / "lost");
  EXPECT_EQ(lost.inode_in(root), number);
  ASSERT_NO_FATAL_FAILURE(stop());
  EXPECT_EQ(lost.inode_in(root), -ESTALE);
  const std::int64_t by_durable = durable.inode_in(root);  // before its name tells the kernel what it is
  EXPECT_EQ(by_durable, inode_of(root / "durable"));
  EXPECT_EQ(top.inode_in(root), 1);
  FileHandle made(make("made"));
  FileHandle also(make("also"));
  ASSERT_EQ(inode_of(root / "made"), number);
  for (int mounts = 0; mounts < 2; ++mounts) {
    // What the kernel has at hand, and then what it asks for, by number or in a listing.
    EXPECT_EQ(lost.inode_in(root), -ESTALE);
    EXPECT_EQ(unnamed.inode_in(root), -ESTALE);
    EXPECT_EQ(made.inode_in(root), number);
    EXPECT_EQ(also.inode_in(root), number + 1);
    EXPECT_EQ(inode_of(root / "durable" / ".."), 1);
    EXPECT_EQ(std::distance(fs::directory_iterator(root), {}), 3);
    EXPECT_EQ(made.inode_in(root), number);
    ASSERT_TRUE(succeeded(volume_->unmount()));
    ASSERT_TRUE(succeeded(volume_->mount(Engine::io_uring)));
  }
}

INSTANTIATE_TEST_SUITE_P(Of, StopTest,
                         testing::Values(Way{"image", nullptr, nullptr},
                                         Way{"loop", nullptr, nullptr, DeviceKind::loop_4096}),
                         way_name);

// umount(8) of a block device returns when all is durable: nothing has to wait for the daemon before the device is
// looked at.
class UnmountTest : public DurabilityTest {};

TEST_P(UnmountTest, WritesAll) {
  change_names(volume_->root());
  write_with(volume_->root(), 0);
  ASSERT_TRUE(succeeded(volume_->unmount()));
  EXPECT_TRUE(succeeded(volume_->check()));
  ASSERT_TRUE(succeeded(volume_->mount(Engine::aio, "ro,norecovery")));
  expect_names(volume_->root());
  expect_sample(volume_->root());
}

INSTANTIATE_TEST_SUITE_P(Of, UnmountTest, testing::Values(Way{"loop", nullptr, nullptr, DeviceKind::loop_512}),
                         way_name);

}  // namespace
}  // namespace ashlar::mount_test
