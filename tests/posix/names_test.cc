// mkdir(2), rmdir(2), unlink(2), link(2), symlink(2), mknod(2), and reading directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>
#include <set>

#include "tests/posix/posix_fixture.h"

namespace ashlar::posix_test {
namespace {

class NamesTest : public PosixTest {};
INSTANTIATE_TEST_SUITE_P(Posix, NamesTest, ext4_and_an_image(), kind_name);

TEST_P(NamesTest, MakingAndRemovingDirectories) {
  make_directory("directory");
  make_file("file");
  ASSERT_EQ(symlink("nowhere", path("dangling").c_str()), 0);
  // XSH mkdir, ERRORS
  EXPECT_EQ(ERRNO_OF(mkdir(path("directory").c_str(), 0755)), EEXIST);
  EXPECT_EQ(ERRNO_OF(mkdir(path("file").c_str(), 0755)), EEXIST);
  EXPECT_EQ(ERRNO_OF(mkdir(path("dangling").c_str(), 0755)), EEXIST);
  EXPECT_EQ(ERRNO_OF(mkdir(path("file/below").c_str(), 0755)), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(mkdir(path("absent/below").c_str(), 0755)), ENOENT);
  EXPECT_EQ(ERRNO_OF(mkdir(path("directory/.").c_str(), 0755)), EEXIST);
  EXPECT_EQ(ERRNO_OF(mkdir(path("new/").c_str(), 0755)), 0);
  // XBD 3.xx link count: its name, its own ".", and the ".." of what is below.
  EXPECT_EQ(stat_of("new").st_nlink, 2U);
  make_directory("new/below");
  EXPECT_EQ(stat_of("new").st_nlink, 3U);
  // XSH rmdir, ERRORS
  EXPECT_EQ(ERRNO_OF(rmdir(path("new").c_str())), ENOTEMPTY);
  EXPECT_EQ(ERRNO_OF(rmdir(path("file").c_str())), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(rmdir(path("absent").c_str())), ENOENT);
  EXPECT_EQ(ERRNO_OF(rmdir(path("new/below/.").c_str())), EINVAL);
  EXPECT_EQ(ERRNO_OF(rmdir(path("new/below/..").c_str())), ENOTEMPTY);
  EXPECT_EQ(ERRNO_OF(rmdir(path("dangling").c_str())), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(rmdir(path("").c_str())), EBUSY);
  EXPECT_EQ(ERRNO_OF(rmdir(path("new/below").c_str())), 0);
  EXPECT_EQ(stat_of("new").st_nlink, 2U);
}

TEST_P(NamesTest, ARemovedDirectoryTakesNoNames) {
  make_directory("gone");
  const OpenFile directory(path("gone"), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(rmdir(path("gone").c_str()), 0);
  // XSH rmdir: no new entries may be created in it, and "." and ".." go.
  EXPECT_EQ(ERRNO_OF(openat(directory.fd(), "file", O_WRONLY | O_CREAT, 0644)), ENOENT);
  EXPECT_EQ(ERRNO_OF(mkdirat(directory.fd(), "below", 0755)), ENOENT);
  EXPECT_EQ(ERRNO_OF(symlinkat("x", directory.fd(), "link")), ENOENT);
  struct stat status {};
  ASSERT_EQ(fstat(directory.fd(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(ERRNO_OF(fchmod(directory.fd(), 0700)), 0);
}

TEST_P(NamesTest, Unlinking) {
  make_file("file");
  make_directory("directory");
  ASSERT_EQ(link(path("file").c_str(), path("second").c_str()), 0);
  ASSERT_EQ(symlink("file", path("symlink").c_str()), 0);
  // XSH unlink; unlink(2): a directory is EISDIR on Linux.
  EXPECT_EQ(ERRNO_OF(unlink(path("directory").c_str())), EISDIR);
  EXPECT_EQ(ERRNO_OF(unlink(path("absent").c_str())), ENOENT);
  EXPECT_EQ(ERRNO_OF(unlink(path("file/").c_str())), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(unlink(path("file/below").c_str())), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(unlink(path("symlink").c_str())), 0);
  EXPECT_TRUE(exists("file"));
  EXPECT_EQ(ERRNO_OF(unlink(path("second").c_str())), 0);
  EXPECT_EQ(stat_of("file").st_nlink, 1U);
}

TEST_P(NamesTest, AFileWithoutNamesIsAFileStill) {
  make_file("file", "before");
  const OpenFile file(path("file"), O_RDWR);
  ASSERT_EQ(unlink(path("file").c_str()), 0);
  // XSH unlink: the contents stay until the last reference is closed.
  struct stat status {};
  ASSERT_EQ(fstat(file.fd(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(pwrite(file.fd(), "after", 5, 6), 5);
  EXPECT_EQ(ERRNO_OF(ftruncate(file.fd(), 8)), 0);
  EXPECT_EQ(ERRNO_OF(fchmod(file.fd(), 0600)), 0);
  EXPECT_EQ(ERRNO_OF(fchown(file.fd(), 5, 6)), 0);
  EXPECT_EQ(ERRNO_OF(futimens(file.fd(), nullptr)), 0);
  EXPECT_EQ(ERRNO_OF(fallocate(file.fd(), 0, 0, 100'000)), 0);
  EXPECT_EQ(ERRNO_OF(fsync(file.fd())), 0);
  std::string text(8, '?');
  EXPECT_EQ(pread(file.fd(), text.data(), 8, 0), 8);
  EXPECT_EQ(text, "beforeaf");
  // linkat(2): a file whose last name is gone gets no new one.
  const std::string self = "/proc/self/fd/" + std::to_string(file.fd());
  EXPECT_EQ(ERRNO_OF(linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path("again").c_str(), AT_SYMLINK_FOLLOW)), ENOENT);
  // The name is free for another file.
  make_file("file", "other");
  EXPECT_EQ(pread(file.fd(), text.data(), 8, 0), 8);
  EXPECT_EQ(text, "beforeaf");
}

TEST_P(NamesTest, Linking) {
  make_file("file", "text");
  make_directory("directory");
  ASSERT_EQ(symlink("file", path("symlink").c_str()), 0);
  // XSH link, ERRORS
  EXPECT_EQ(ERRNO_OF(link(path("absent").c_str(), path("new").c_str())), ENOENT);
  EXPECT_EQ(ERRNO_OF(link(path("file").c_str(), path("directory").c_str())), EEXIST);
  EXPECT_EQ(ERRNO_OF(link(path("file").c_str(), path("symlink").c_str())), EEXIST);
  EXPECT_EQ(ERRNO_OF(link(path("directory").c_str(), path("new").c_str())), EPERM);
  EXPECT_EQ(ERRNO_OF(link(path("file").c_str(), path("file/new").c_str())), ENOTDIR);
  EXPECT_EQ(ERRNO_OF(link(path("file").c_str(), "/dev/shm/elsewhere")), EXDEV);
  ASSERT_EQ(link(path("file").c_str(), path("directory/second").c_str()), 0);
  EXPECT_EQ(stat_of("file").st_nlink, 2U);
  EXPECT_EQ(stat_of("file").st_ino, stat_of("directory/second").st_ino);
  // link(2): on Linux a symbolic link is linked itself, unless AT_SYMLINK_FOLLOW.
  ASSERT_EQ(link(path("symlink").c_str(), path("same symlink").c_str()), 0);
  EXPECT_TRUE(S_ISLNK(stat_of("same symlink").st_mode));
  EXPECT_EQ(stat_of("symlink").st_nlink, 2U);
  ASSERT_EQ(linkat(AT_FDCWD, path("symlink").c_str(), AT_FDCWD, path("third").c_str(), AT_SYMLINK_FOLLOW), 0);
  EXPECT_EQ(stat_of("file").st_nlink, 3U);
}

TEST_P(NamesTest, ManyLinks) {
  // XSH link, [EMLINK]: ext4 ends at 65000.
  const unsigned many = deviates(Deviation::more_links) ? 65'001 : 1'000;
  make_file("file");
  for (unsigned count = 1; count < many; ++count) {
    ASSERT_EQ(ERRNO_OF(link(path("file").c_str(), path(std::to_string(count)).c_str())), 0) << count;
  }
  EXPECT_EQ(stat_of("file").st_nlink, many);
}

TEST_P(NamesTest, SymbolicLinks) {
  const std::string longest(PATH_MAX - 1, 'x');
  ASSERT_EQ(symlink(longest.c_str(), path("long").c_str()), 0);
  ASSERT_EQ(symlink("target", path("short").c_str()), 0);
  // XSH symlink: any text, no check that it exists; st_size is its length.
  EXPECT_EQ(stat_of("long").st_size, PATH_MAX - 1);
  EXPECT_EQ(stat_of("short").st_size, 6);
  EXPECT_EQ(ERRNO_OF(symlink((longest + "x").c_str(), path("longer").c_str())), ENAMETOOLONG);
  EXPECT_EQ(ERRNO_OF(symlink("", path("empty").c_str())), ENOENT);
  EXPECT_EQ(ERRNO_OF(symlink("x", path("short").c_str())), EEXIST);
  // XSH readlink: as much as there is room for, without a NUL.
  std::string text(4, '?');
  EXPECT_EQ(readlink(path("short").c_str(), text.data(), 3), 3);
  EXPECT_EQ(text, "tar?");
  std::string whole(PATH_MAX, '?');
  EXPECT_EQ(readlink(path("long").c_str(), whole.data(), whole.size()), PATH_MAX - 1);
  make_file("file");
  EXPECT_EQ(ERRNO_OF(readlink(path("file").c_str(), text.data(), 3)), EINVAL);
  EXPECT_EQ(mode_of("short"), 0777U);
}

TEST_P(NamesTest, SpecialFiles) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0640), 0);
  ASSERT_EQ(mknod(path("character").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  ASSERT_EQ(mknod(path("block").c_str(), S_IFBLK | 0600, makedev(259, 70'000)), 0);
  ASSERT_EQ(mknod(path("socket").c_str(), S_IFSOCK | 0600, 0), 0);
  ASSERT_EQ(mknod(path("regular").c_str(), S_IFREG | 0600, 0), 0);
  EXPECT_EQ(ERRNO_OF(mknod(path("fifo").c_str(), S_IFIFO | 0600, 0)), EEXIST);
  // mknod(2): EPERM for directories; devices are for the privileged.
  EXPECT_EQ(ERRNO_OF(mknod(path("directory").c_str(), S_IFDIR | 0755, 0)), EPERM);
  const std::string device = path("alices");
  EXPECT_EQ(errno_as(kAlice, [device] { return mknod(device.c_str(), S_IFCHR | 0600, makedev(1, 3)); }), EPERM);
  filesystem().remount("");
  EXPECT_TRUE(S_ISFIFO(stat_of("fifo").st_mode));
  EXPECT_EQ(mode_of("fifo"), 0640U);
  EXPECT_EQ(stat_of("character").st_rdev, makedev(1, 3));
  EXPECT_EQ(stat_of("block").st_rdev, makedev(259, 70'000));
  EXPECT_TRUE(S_ISBLK(stat_of("block").st_mode));
  EXPECT_TRUE(S_ISSOCK(stat_of("socket").st_mode));
  EXPECT_TRUE(S_ISREG(stat_of("regular").st_mode));
  const OpenFile null(path("character"), O_WRONLY);
  EXPECT_EQ(write(null.fd(), "x", 1), 1);
}

TEST_P(NamesTest, ReadingADirectoryWhileItChanges) {
  // XSH readdir: whether entries that come or go are returned is open; every other is returned exactly once.
  constexpr int kStay = 3000;
  make_directory("d");
  for (int i = 0; i < kStay; ++i) make_file("d/stay" + std::to_string(i));
  for (int i = 0; i < kStay; ++i) make_file("d/go" + std::to_string(i));
  DIR* const stream = opendir(path("d").c_str());
  ASSERT_NE(stream, nullptr);
  std::map<std::string, int> seen;
  int step = 0;
  while (const dirent* entry = readdir(stream)) {
    ++seen[entry->d_name];
    if (step < kStay) {
      ASSERT_EQ(unlink(path("d/go" + std::to_string(step)).c_str()), 0);
      make_file("d/come" + std::to_string(step));
    }
    ++step;
  }
  closedir(stream);
  EXPECT_EQ(seen["."], 1);
  EXPECT_EQ(seen[".."], 1);
  for (int i = 0; i < kStay; ++i) ASSERT_EQ(seen["stay" + std::to_string(i)], 1) << i;
  for (const auto& [name, times] : seen) ASSERT_EQ(times, 1) << name;
}

TEST_P(NamesTest, SeekingInADirectory) {
  constexpr int kFiles = 500;
  make_directory("d");
  for (int i = 0; i < kFiles; ++i) make_file("d/" + std::to_string(i));
  DIR* const stream = opendir(path("d").c_str());
  ASSERT_NE(stream, nullptr);
  std::vector<std::pair<long, std::string>> places;
  for (;;) {
    const long place = telldir(stream);
    const dirent* const entry = readdir(stream);
    if (entry == nullptr) break;
    places.emplace_back(place, entry->d_name);
  }
  ASSERT_EQ(places.size(), kFiles + 2U);
  // XSH seekdir: the next readdir() returns what followed telldir().
  for (std::size_t i = places.size(); i > 0; i -= std::min<std::size_t>(i, 37)) {
    seekdir(stream, places[i - 1].first);
    const dirent* const entry = readdir(stream);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->d_name, places[i - 1].second);
  }
  // XSH rewinddir: the directory as it is now.
  make_file("d/new");
  rewinddir(stream);
  std::set<std::string> names;
  while (const dirent* entry = readdir(stream)) {
    names.insert(entry->d_name);
    struct stat status {};
    ASSERT_EQ(fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW), 0);
    EXPECT_EQ(status.st_ino, entry->d_ino) << entry->d_name;
    EXPECT_EQ(IFTODT(status.st_mode), entry->d_type) << entry->d_name;
  }
  closedir(stream);
  EXPECT_EQ(names.size(), kFiles + 3U);
  EXPECT_EQ(names.count("new"), 1U);
}

TEST_P(NamesTest, SeekingInADirectoryThatChanges) {
  constexpr int kFiles = 500;
  make_directory("d");
  for (int i = 0; i < kFiles; ++i) make_file("d/stay" + std::to_string(i));
  for (int i = 0; i < kFiles; ++i) make_file("d/go" + std::to_string(i));
  DIR* const stream = opendir(path("d").c_str());
  ASSERT_NE(stream, nullptr);
  std::vector<std::pair<long, std::string>> places;
  for (;;) {
    const long place = telldir(stream);
    const dirent* const entry = readdir(stream);
    if (entry == nullptr) break;
    places.emplace_back(place, entry->d_name);
  }
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_EQ(ERRNO_OF(unlink(path("d/go" + std::to_string(i)).c_str())), 0);
    make_file("d/come" + std::to_string(i));
  }
  // XSH telldir: the place holds in this stream. Of what stayed, the same follows as before.
  for (std::size_t i = 0; i < places.size(); i += 61) {
    std::vector<std::string> expected;
    for (std::size_t j = i; j < places.size(); ++j) {
      if (places[j].second.starts_with("stay")) expected.push_back(places[j].second);
    }
    std::vector<std::string> found;
    seekdir(stream, places[i].first);
    while (const dirent* entry = readdir(stream)) {
      if (std::string_view(entry->d_name).starts_with("stay")) found.emplace_back(entry->d_name);
    }
    EXPECT_EQ(found, expected) << "from " << places[i].second;
  }
  closedir(stream);
}

TEST_P(NamesTest, DeepDirectories) {
  constexpr int kDepth = 1000;
  int directory = open(path("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(directory, 0);
  for (int depth = 0; depth < kDepth; ++depth) {
    ASSERT_EQ(ERRNO_OF(mkdirat(directory, "deeper", 0755)), 0) << depth;
    const int next = openat(directory, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(next, 0) << depth;
    close(directory);
    directory = next;
  }
  for (int depth = 0; depth < kDepth; ++depth) {
    const int above = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(above, 0) << depth;
    close(directory);
    directory = above;
    ASSERT_EQ(ERRNO_OF(unlinkat(directory, "deeper", AT_REMOVEDIR)), 0) << depth;
  }
  close(directory);
  EXPECT_EQ(stat_of("").st_nlink, GetParam() == Kind::ext4 ? 3U : 2U);  // lost+found
}

}  // namespace
}  // namespace ashlar::posix_test
