#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "tests/layering/layer_rules.h"

namespace ashlar::layering {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

bool forbids(std::string_view path, std::string_view text) { return !check_source(path, text).empty(); }
bool forbids_link(std::string_view path, std::string_view text) { return !check_cmake(path, text).empty(); }

// Visits every file of the layers' folders, with its path from the root and its text.
template <typename Visitor>
void for_each_file(Visitor visit) {
  const fs::path root = ASHLAR_SOURCE_ROOT;
  for (const char* top : {"fs", "blockio", "mkfs", "fsck"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / top)) {
      if (entry.is_regular_file()) visit(fs::relative(entry.path(), root), read_text(entry.path()));
    }
  }
}

void report(const fs::path& path, const std::vector<Violation>& violations) {
  for (const Violation& violation : violations) {
    ADD_FAILURE() << path.string() << ':' << violation.line << ": " << violation.reason;
  }
}

TEST(LayeringTest, NoSourceIncludesAgainstTheDirection) {
  int seen = 0;
  for_each_file([&](const fs::path& path, const std::string& text) {
    if (path.extension() != ".cc" && path.extension() != ".h") return;
    report(path, check_source(path.string(), text));
    ++seen;
  });
  EXPECT_GT(seen, 0) << "no sources below " << ASHLAR_SOURCE_ROOT;
}

TEST(LayeringTest, NoTargetLinksAgainstTheDirection) {
  int seen = 0;
  for_each_file([&](const fs::path& path, const std::string& text) {
    if (path.filename() != "CMakeLists.txt") return;
    report(path, check_cmake(path.string(), text));
    ++seen;
  });
  EXPECT_GT(seen, 0) << "no CMakeLists.txt below " << ASHLAR_SOURCE_ROOT;
}

// The rest shows that the rules have teeth.

TEST(LayerRulesTest, KnowTheLayerOfAPath) {
  EXPECT_EQ(layer_of("fs/store/tree/node.h"), "fs/store");
  EXPECT_EQ(layer_of("fs/store/log/log_reader.cc"), "fs/store/log/log_reader");
  EXPECT_EQ(layer_of("fs/store/log/log_reader/scan.cc"), "fs/store/log/log_reader");
  EXPECT_EQ(layer_of("fs/storex/tree.h"), "");
  EXPECT_EQ(layer_of("tree.h"), "");
}

TEST(LayerRulesTest, AllowDownwards) {
  EXPECT_FALSE(forbids("fs/volume/file.cc", "#include \"fs/store/store.h\"\n#include \"blockio/io_op.h\"\n"));
  EXPECT_FALSE(forbids("fs/store/tree.cc", "#include \"fs/store/node.h\"\n#include <vector>\n"));
  EXPECT_FALSE(forbids("fsck/walk.cc", "#include \"fs/store/log/log_reader.h\"\n"));
  EXPECT_FALSE(forbids("fs/daemon/main.cc", "#include \"fs/fuse/session.h\"\n#include <CLI/CLI.hpp>\n"));
}

TEST(LayerRulesTest, ForbidUpwards) {
  EXPECT_TRUE(forbids("fs/base/log.cc", "#include \"blockio/io_op.h\"\n"));
  EXPECT_TRUE(forbids("blockio/uring.cc", "#include \"fs/format/superblock.h\"\n"));
  EXPECT_TRUE(forbids("fs/format/node.cc", "#include \"blockio/io_op.h\"\n"));
  EXPECT_TRUE(forbids("fs/store/tree.cc", "#include \"fs/volume/inode.h\"\n"));
  EXPECT_TRUE(forbids("fs/volume/file.cc", "#include \"fs/fuse/session.h\"\n"));
  EXPECT_TRUE(forbids("fs/fuse/session.cc", "#include \"fs/daemon/options.h\"\n"));
}

TEST(LayerRulesTest, ForbidReachingPastTheLayerBelow) {
  EXPECT_TRUE(forbids("fs/fuse/session.cc", "#include \"fs/store/store.h\"\n"));
  EXPECT_TRUE(forbids("mkfs/mkfs.cc", "#include \"fs/store/store.h\"\n"));
  EXPECT_TRUE(forbids("fsck/walk.cc", "#include \"fs/store/tree.h\"\n"));
  EXPECT_TRUE(forbids("fsck/walk.cc", "#include \"fs/volume/inode.h\"\n"));
  EXPECT_TRUE(forbids("fs/store/log/log_reader.cc", "#include \"fs/store/tree.h\"\n"));
}

TEST(LayerRulesTest, ForbidOthersBusiness) {
  EXPECT_TRUE(forbids("fs/volume/file.cc", "#include <liburing.h>\n"));
  EXPECT_TRUE(forbids("fs/volume/file.cc", "#include <fuse_lowlevel.h>\n"));
  EXPECT_TRUE(forbids("fs/format/node.cc", "#include <mutex>\n"));
  EXPECT_TRUE(forbids("fs/format/node.cc", "#include <sys/stat.h>\n"));
  EXPECT_TRUE(forbids("blockio/uring.cc", "#include <CLI/CLI.hpp>\n"));
}

TEST(LayerRulesTest, SeeThroughSpacingAndNameTheLine) {
  const std::vector<Violation> found =
      check_source("fs/store/tree.cc", "// one\n\n  #  include   \"fs/volume/inode.h\" // why\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].line, 3);
  EXPECT_NE(found[0].reason.find("fs/volume/inode.h"), std::string::npos);
}

TEST(LayerRulesTest, ForbidPathsThatAreNotFromTheRoot) {
  EXPECT_TRUE(forbids("fs/store/tree.cc", "#include \"node.h\"\n"));
  EXPECT_TRUE(forbids("fs/store/tree.cc", "#include \"../volume/inode.h\"\n"));
}

TEST(LayerRulesTest, ForbidLinkingAgainstTheDirection) {
  EXPECT_FALSE(forbids_link("fs/store/CMakeLists.txt", "PUBLIC ashlar::format ashlar::blockio"));
  EXPECT_TRUE(forbids_link("fs/store/CMakeLists.txt", "PRIVATE ashlar::volume)"));
  EXPECT_TRUE(forbids_link("fsck/CMakeLists.txt", "PRIVATE ashlar::format ashlar::store"));
  EXPECT_TRUE(forbids_link("mkfs/CMakeLists.txt", "PRIVATE ashlar::nothing"));
  EXPECT_FALSE(forbids_link("mkfs/CMakeLists.txt", "# never ashlar::store\n"));
}

}  // namespace
}  // namespace ashlar::layering
