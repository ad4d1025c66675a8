// Real trees: copied in, checked, and read back through the other engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/mount/mounted_volume.h"
#include "tests/mount/tree_compare.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

constexpr int kCommits = 400;
constexpr int kFilesInRepository = 150;

CommandResult git(const fs::path& repository, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"env",
                                   "GIT_CONFIG_GLOBAL=/dev/null",
                                   "GIT_CONFIG_SYSTEM=/dev/null",
                                   "git",
                                   "-c",
                                   "safe.directory=*",
                                   "-C",
                                   repository.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return run(argv);
}

// A repository with history, written as the stream that `git fast-import` reads.
void write_history(const fs::path& path) {
  std::ofstream stream(path);
  for (int commit = 0; commit < kCommits; ++commit) {
    const std::string message = "Change number " + std::to_string(commit);
    stream << "commit refs/heads/main\ncommitter Tester <tester@example.org> " << 1700000000 + commit * 60
           << " +0000\ndata " << message.size() << "\n"
           << message << "\n";
    for (int i = 0; i < 3; ++i) {
      const int file = (commit * 7 + i * 31) % kFilesInRepository;
      std::string text;
      for (int line = 0; line <= commit; ++line) text += "line " + std::to_string(line * file) + "\n";
      stream << "M " << (file % 10 == 0 ? "100755" : "100644") << " inline part" << file % 12 << "/file" << file
             << ".txt\ndata " << text.size() << "\n"
             << text << "\n";
    }
  }
}

// A clone, with a work tree, of a repository with some hundred commits.
void make_git_clone(const fs::path& scratch, const fs::path& clone) {
  const fs::path bare = scratch / "bare.git";
  ASSERT_TRUE(succeeded(run({"git", "init", "-q", "--bare", "-b", "main", bare.string()})));
  write_history(scratch / "history");
  ASSERT_TRUE(succeeded(run(
      {"sh", "-c", "git -C \"$1\" fast-import --quiet <\"$2\"", "sh", bare.string(), (scratch / "history").string()})));
  ASSERT_TRUE(succeeded(run({"git", "clone", "-q", bare.string(), clone.string()})));
}

class TreeTest : public EverySetupTest {
 protected:
  void expect_same(const fs::path& original, const fs::path& copy) {
    EXPECT_TRUE(succeeded(run({"diff", "-r", "--no-dereference", original.string(), copy.string()})));
    EXPECT_THAT(metadata_differences(original, copy), testing::IsEmpty());
  }
};

TEST_P(TreeTest, CopiesSurviveARemountWithTheOtherEngineAndGiveTheirSpaceBack) {
  const fs::path headers = "/usr/include";
  const fs::path clone = volume().outside() / "clone";
  ASSERT_NO_FATAL_FAILURE(make_git_clone(volume().outside(), clone));
  const std::uint64_t free_before = volume().free_blocks();

  ASSERT_TRUE(succeeded(run({"cp", "-a", headers.string(), volume().root().string()})));
  ASSERT_TRUE(succeeded(run({"cp", "-a", clone.string(), volume().root().string()})));
  expect_same(headers, volume().root() / "include");

  ASSERT_NO_FATAL_FAILURE(remount(other(GetParam().engine)));
  expect_same(headers, volume().root() / "include");
  expect_same(clone, volume().root() / "clone");
  EXPECT_TRUE(succeeded(git(volume().root() / "clone", {"fsck", "--full", "--strict"})));
  EXPECT_EQ(git(volume().root() / "clone", {"rev-list", "--count", "HEAD"}).output, std::to_string(kCommits) + "\n");
  EXPECT_EQ(git(volume().root() / "clone", {"status", "--porcelain"}).output, "");

  ASSERT_TRUE(
      succeeded(run({"rm", "-r", (volume().root() / "include").string(), (volume().root() / "clone").string()})));
  EXPECT_EQ(volume().settled_free_blocks(free_before), free_before);
  ASSERT_TRUE(succeeded(volume().unmount()));
  EXPECT_TRUE(succeeded(volume().check()));
}

TEST_P(TreeTest, AGitCloneMadeOnTheVolumeIsWhole) {
  const fs::path clone = volume().root() / "clone";
  ASSERT_NO_FATAL_FAILURE(make_git_clone(volume().outside(), volume().outside() / "first"));
  ASSERT_TRUE(succeeded(run({"git", "clone", "-q", (volume().outside() / "bare.git").string(), clone.string()})));
  ASSERT_TRUE(succeeded(git(clone, {"gc", "--aggressive", "--prune=now", "-q"})));
  ASSERT_NO_FATAL_FAILURE(remount(GetParam().engine));
  EXPECT_TRUE(succeeded(git(clone, {"fsck", "--full", "--strict"})));
  EXPECT_TRUE(
      succeeded(run({"diff", "-r", "--exclude=.git", (volume().outside() / "first").string(), clone.string()})));
}

INSTANTIATE_TEST_SUITE_P(Mount, TreeTest, every_setup(), setup_name);

}  // namespace
}  // namespace ashlar::mount_test
