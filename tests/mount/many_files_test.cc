// One directory with a hundred thousand files; with fewer on loop devices and with the other engine, where the names
// make no difference. (tests/posix/million_test.cc has more.)
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "tests/mount/mounted_volume.h"

namespace ashlar::mount_test {
namespace {

constexpr int kFiles = 100'000;
constexpr int kFilesElsewhere = 20'000;

std::string name_of_file(int number) { return "file-" + std::to_string(number) + ".txt"; }

// The number in a name that name_of_file made, or -1.
int number_in(const std::string& name) {
  const std::string prefix = "file-";
  if (!name.starts_with(prefix) || !name.ends_with(".txt")) return -1;
  const int number = std::atoi(name.c_str() + prefix.size());
  return name == name_of_file(number) ? number : -1;
}

class ManyFilesTest : public EverySetupTest {
 protected:
  [[nodiscard]] static int count() {
    const auto& setup = GetParam();
    return setup.device == DeviceKind::image && setup.engine == Engine::io_uring ? kFiles : kFilesElsewhere;
  }
  [[nodiscard]] std::string directory() { return (volume().root() / "many").string(); }

  void open_directory(int& fd) {
    fd = open(directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(fd, 0) << std::strerror(errno);
  }

  void create_all(int directory_fd) {
    for (int i = 0; i < count(); ++i) {
      const std::string name = name_of_file(i);
      const int fd = openat(directory_fd, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      ASSERT_GE(fd, 0) << name << ": " << std::strerror(errno);
      ASSERT_EQ(write(fd, name.data(), name.size()), static_cast<ssize_t>(name.size())) << name;
      ASSERT_EQ(close(fd), 0) << name;
    }
  }

  // Every file is listed exactly once, and nothing else is.
  void list_all() {
    std::vector<bool> seen(static_cast<std::size_t>(count()), false);
    DIR* stream = opendir(directory().c_str());
    ASSERT_NE(stream, nullptr);
    int listed = 0;
    while (const dirent* entry = readdir(stream)) {
      const std::string name = static_cast<const char*>(entry->d_name);
      if (name == "." || name == "..") continue;
      const int number = number_in(name);
      ASSERT_TRUE(number >= 0 && number < count()) << name;
      ASSERT_FALSE(seen[static_cast<std::size_t>(number)]) << name << " is listed twice";
      seen[static_cast<std::size_t>(number)] = true;
      ++listed;
    }
    closedir(stream);
    EXPECT_EQ(listed, count());
  }

  void look_up_all(int directory_fd) {
    for (int i = 0; i < count(); ++i) {
      const std::string name = name_of_file(i);
      struct stat attributes {};
      ASSERT_EQ(fstatat(directory_fd, name.c_str(), &attributes, 0), 0) << name << ": " << std::strerror(errno);
      ASSERT_EQ(static_cast<std::size_t>(attributes.st_size), name.size()) << name;
    }
    struct stat attributes {};
    EXPECT_EQ(fstatat(directory_fd, name_of_file(count()).c_str(), &attributes, 0), -1);
    EXPECT_EQ(errno, ENOENT);
  }

  void remove_all(int directory_fd) {
    for (int i = 0; i < count(); ++i) {
      ASSERT_EQ(unlinkat(directory_fd, name_of_file(i).c_str(), 0), 0) << i << ": " << std::strerror(errno);
    }
  }
};

TEST_P(ManyFilesTest, AreListedLookedUpAndRemovedAndGiveTheirSpaceBack) {
  const std::uint64_t free_before = volume().free_blocks();
  int fd = -1;
  ASSERT_EQ(mkdir(directory().c_str(), 0700), 0);
  ASSERT_NO_FATAL_FAILURE(open_directory(fd));
  ASSERT_NO_FATAL_FAILURE(create_all(fd));
  ASSERT_NO_FATAL_FAILURE(list_all());
  close(fd);

  // Once more from the device, with nothing in any cache.
  ASSERT_NO_FATAL_FAILURE(remount(GetParam().engine));
  ASSERT_NO_FATAL_FAILURE(list_all());
  ASSERT_NO_FATAL_FAILURE(open_directory(fd));
  ASSERT_NO_FATAL_FAILURE(look_up_all(fd));
  ASSERT_NO_FATAL_FAILURE(remove_all(fd));
  close(fd);

  ASSERT_EQ(rmdir(directory().c_str()), 0) << std::strerror(errno);
  EXPECT_EQ(volume().settled_free_blocks(free_before), free_before);
  ASSERT_TRUE(succeeded(volume().unmount()));
  EXPECT_TRUE(succeeded(volume().check()));
}

INSTANTIATE_TEST_SUITE_P(Mount, ManyFilesTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
