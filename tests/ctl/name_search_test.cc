// Looking for the names of inodes.
#include "fs/ctl/name_search.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "fs/ctl/cancel_on_signal.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::ctl {
namespace {

using ashlar::testing::Scratch;

std::size_t count_names(const std::string& root) {
  std::size_t names = 0;
  find_names(root, {{1, ~0ULL}}, [&names](const std::string&, std::uint64_t) { return ++names != 0; });
  return names;
}

TEST(NameSearch, FindsAllThatIsBelow) {
  const Scratch scratch;
  ASSERT_TRUE(scratch.ready());
  std::filesystem::create_directories(scratch.file("a/b/c"));
  scratch.make_file("a/b/file", 0);
  EXPECT_EQ(count_names(scratch.file("a")), 4U);
}

// Even when nothing is found: a walk may take long. In a process of its own, as cancelled is cancelled.
TEST(NameSearchDeathTest, EndsWithAnInterrupt) {
  const Scratch scratch;
  ASSERT_TRUE(scratch.ready());
  std::filesystem::create_directories(scratch.file("a/b/c"));
  struct stat info {};
  ASSERT_EQ(stat(scratch.file("a/b/c").c_str(), &info), 0);
  const auto search = [&] {
    const CancelOnSignal cancel;
    bool was_found = false;
    static_cast<void>(raise(SIGINT));
    find_names(scratch.file("a"), {{info.st_ino, info.st_ino}},
               [&was_found](const std::string&, std::uint64_t) { return was_found = true; });
    std::_Exit(was_found ? 1 : 0);
  };
  EXPECT_EXIT(search(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace ashlar::ctl
