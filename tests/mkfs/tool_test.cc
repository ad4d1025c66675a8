// The mkfs.ashlarfs program on image files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "fs/format/items.h"
#include "fs/format/superblock.h"
#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::mkfs {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::contents_of;
using ashlar::testing::has_command;
using ashlar::testing::run_command;
using ashlar::testing::Scratch;
using ::testing::HasSubstr;

CommandResult mkfs(const std::string& arguments) { return run_command(ASHLAR_MKFS " " + arguments); }

std::uint32_t gpt_crc(std::string_view data) {
  std::uint32_t crc = ~0U;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb8'8320U : 0U);
  }
  return ~crc;
}

template <typename Field>
void set(std::string& bytes, std::size_t offset, Field value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::string gpt_header(std::uint64_t own_sector, std::uint64_t other_sector, std::uint64_t entries_sector,
                       std::uint64_t last_sector, const std::string& entries) {
  std::string header(512, '\0');
  header.replace(0, 8, "EFI PART");
  set<std::uint32_t>(header, 8, 0x0001'0000);
  set<std::uint32_t>(header, 12, 92);
  set<std::uint64_t>(header, 24, own_sector);
  set<std::uint64_t>(header, 32, other_sector);
  set<std::uint64_t>(header, 40, 34);
  set<std::uint64_t>(header, 48, last_sector - 33);
  header.replace(56, 16, "ashlar-test-disk");
  set<std::uint64_t>(header, 72, entries_sector);
  set<std::uint32_t>(header, 80, 128);
  set<std::uint32_t>(header, 84, 128);
  set<std::uint32_t>(header, 88, gpt_crc(entries));
  set<std::uint32_t>(header, 16, gpt_crc(std::string_view(header).substr(0, 92)));
  return header;
}

// An empty GUID partition table with its backup and the protective MBR.
void write_gpt(const std::string& path, std::uint64_t size) {
  const std::uint64_t last = size / 512 - 1;
  const std::string entries(std::size_t{128} * 128, '\0');
  std::string mbr(512, '\0');
  mbr[446 + 4] = static_cast<char>(0xee);
  set<std::uint32_t>(mbr, 446 + 8, 1);
  set<std::uint32_t>(mbr, 446 + 12, static_cast<std::uint32_t>(last));
  set<std::uint16_t>(mbr, 510, 0xaa55);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file << mbr << gpt_header(1, last, 2, last, entries);
  file.seekp(static_cast<std::streamoff>(last * 512));
  file << gpt_header(last, 1, last - 32, last, entries);
}

std::size_t wipefs_offsets(const std::string& path) {
  const std::string lines = run_command("wipefs --noheadings " + path).output;
  return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
}

class MkfsToolTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(scratch_.ready()); }

  // Fails with one line that names the file, and leaves the file as it was.
  void expect_refused(const std::string& path, const std::string& arguments, const std::string& why) {
    const std::string before = contents_of(path);
    const CommandResult result = mkfs(arguments);
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_THAT(result.output, HasSubstr(path));
    EXPECT_THAT(result.output, HasSubstr(why));
    EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
    EXPECT_TRUE(contents_of(path) == before) << "changed";
  }

  Scratch scratch_;
};

TEST_F(MkfsToolTest, ALabelIsUtf8) {
  const std::string path = scratch_.file("new.img");
  const CommandResult refused = mkfs("-L \"$(printf 'Gr\\374n')\" " + path + " 32M");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.output, HasSubstr("UTF-8"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(mkfs("-q -L \"$(printf 'Gr\\303\\274n')\" " + path + " 32M").status, 0);
}

TEST_F(MkfsToolTest, MakesAnImageOfTheSizeAskedFor) {
  const std::string path = scratch_.file("new.img");
  const CommandResult result = mkfs("-L music " + path + " 256M");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("music"));
  EXPECT_THAT(result.output, HasSubstr("65536 blocks of 4096 bytes"));
  EXPECT_EQ(std::filesystem::file_size(path), 256U << 20);
  EXPECT_EQ(contents_of(path, 8200).substr(8192), "AshlarFS");
}

TEST_F(MkfsToolTest, TakesASizeThatIsNoMultipleOfASector) {
  const std::string path = scratch_.file("odd.img");
  const CommandResult result = mkfs(path + " 20000001");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("4882 blocks of 4096 bytes"));
  EXPECT_EQ(mkfs("-q -f " + path + " 20000001").status, 0);
  const std::string tiny = scratch_.file("tiny.img");
  const CommandResult refused = mkfs(tiny + " 1");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.output, HasSubstr("needs 16 MiB"));
}

TEST_F(MkfsToolTest, TheRootDirectoryBelongsToWhoMakesTheVolume) {
  const auto root_leaf_has = [this](const std::string& name, std::uint32_t uid, std::uint32_t gid) {
    format::InodeItem inode;
    std::ifstream image(scratch_.file(name), std::ios::binary);
    format::Superblock superblock;
    image.seekg(static_cast<std::streamoff>(format::superblock_offset(1, 0)));
    image.read(reinterpret_cast<char*>(&superblock), sizeof superblock);
    const std::uint64_t node_end = superblock.root.address[0] * superblock.block_size + superblock.node_size;
    image.seekg(static_cast<std::streamoff>(node_end - sizeof inode));
    image.read(reinterpret_cast<char*>(&inode), sizeof inode);
    EXPECT_TRUE(image.good());
    EXPECT_EQ(inode.uid, uid);
    EXPECT_EQ(inode.gid, gid);
  };
  ASSERT_EQ(mkfs("-q " + scratch_.file("own.img") + " 16M").status, 0);
  root_leaf_has("own.img", geteuid(), getegid());
  if (geteuid() != 0) return;
  // The program is where only root may go, perhaps.
  std::filesystem::copy_file(ASHLAR_MKFS, scratch_.file("mkfs"));
  std::filesystem::permissions(std::filesystem::path(scratch_.file("own.img")).parent_path(),
                               std::filesystem::perms{0777});
  const CommandResult result = run_command("setpriv --reuid=1001 --regid=2001 --clear-groups " + scratch_.file("mkfs") +
                                           " -q " + scratch_.file("theirs.img") + " 16M");
  ASSERT_EQ(result.status, 0) << result.output;
  root_leaf_has("theirs.img", 1001, 2001);
}

TEST_F(MkfsToolTest, QuietSaysNothing) {
  const CommandResult result = mkfs("-q " + scratch_.file("new.img") + " 16M");
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.output, "");
}

TEST_F(MkfsToolTest, TheOptionsAreObeyed) {
  const std::string path = scratch_.make_file("old.img", 64U << 20);
  const std::string uuid = "12345678-9abc-4def-8123-456789abcdef";
  const CommandResult result = mkfs("-b 16K --node-size 32768 -U " + uuid + " " + path + " 32M");
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr(uuid));
  EXPECT_THAT(result.output, HasSubstr("2048 blocks of 16384 bytes"));
  EXPECT_THAT(result.output, HasSubstr("32768 bytes, kept twice"));
  EXPECT_EQ(std::filesystem::file_size(path), 64U << 20);
}

TEST_F(MkfsToolTest, ADryRunShowsTheSameAndChangesNothing) {
  const std::string path = scratch_.make_file("old.img", 64U << 20);
  const CommandResult dry = mkfs("-n " + path);
  EXPECT_EQ(dry.status, 0);
  EXPECT_THAT(dry.output, HasSubstr("would be"));
  EXPECT_THAT(dry.output, HasSubstr("16384 blocks of 4096 bytes"));
  EXPECT_EQ(contents_of(path).find_first_not_of('\0'), std::string::npos);
  const std::string missing = scratch_.file("new.img");
  EXPECT_EQ(mkfs("-n " + missing + " 64M").status, 0);
  EXPECT_FALSE(std::filesystem::exists(missing));
}

TEST_F(MkfsToolTest, RefusesAVolumeUnlessForced) {
  const std::string path = scratch_.file("new.img");
  ASSERT_EQ(mkfs("-L keep " + path + " 32M").status, 0);
  expect_refused(path, path, "holds an AshlarFS volume labelled 'keep': use -f");
  expect_refused(path, "-n " + path, "use -f");
  EXPECT_EQ(mkfs("-q -f " + path).status, 0);
}

TEST_F(MkfsToolTest, RefusesAnotherFilesystemUnlessForcedAndThenWipesIt) {
  if (!has_command("mkfs.ext4") || !has_command("wipefs")) ASHLAR_SKIP("needs mkfs.ext4 and wipefs");
  const std::string path = scratch_.make_file("ext4.img", 32U << 20);
  ASSERT_EQ(run_command("mkfs.ext4 -q -F -L home " + path).status, 0);
  expect_refused(path, path, "holds an ext4 filesystem labelled 'home': use -f");
  ASSERT_EQ(mkfs("-q -f " + path).status, 0);
  EXPECT_EQ(run_command("wipefs --noheadings " + path).output, "");
}

TEST_F(MkfsToolTest, RefusesAPartitionTableUnlessForcedAndThenWipesItsBackup) {
  if (!has_command("wipefs")) ASHLAR_SKIP("needs wipefs");
  const std::string path = scratch_.make_file("gpt.img", 32U << 20);
  write_gpt(path, 32U << 20);
  ASSERT_EQ(wipefs_offsets(path), 3U) << "GPT, its backup and the protective MBR";
  expect_refused(path, path, "holds a gpt partition table: use -f");
  ASSERT_EQ(mkfs("-q -f " + path).status, 0);
  EXPECT_EQ(wipefs_offsets(path), 0U);
}

TEST_F(MkfsToolTest, RefusesWhatIsTooSmall) {
  const std::string path = scratch_.make_file("small.img", (16U << 20) - 1, 'x');
  expect_refused(path, path, "16 MiB");
  const std::string missing = scratch_.file("new.img");
  EXPECT_EQ(mkfs(missing + " 15M").status, 1);
  EXPECT_FALSE(std::filesystem::exists(missing)) << "left behind";
  const std::string grown = scratch_.make_file("grown.img", 1000, 'x');
  expect_refused(grown, grown + " 15M", "16 MiB");
}

TEST_F(MkfsToolTest, RefusesWhatIsNotADevice) {
  const CommandResult missing = mkfs(scratch_.file("none"));
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.output, HasSubstr("give a SIZE"));
  const CommandResult directory = mkfs(scratch_.file(""));
  EXPECT_EQ(directory.status, 1);
  EXPECT_THAT(directory.output, HasSubstr("neither a block device nor an image file"));
  EXPECT_EQ(mkfs("/dev/null").status, 1);
}

TEST_F(MkfsToolTest, RefusesAnImageThatSomebodyElseHolds) {
  const std::string path = scratch_.file("held.img");
  ASSERT_EQ(mkfs("-q " + path + " 32M").status, 0);
  const int holder = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(holder, 0);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(holder, F_OFD_SETLK, &lock), 0) << strerror(errno);
  expect_refused(path, "-f " + path, path);
  close(holder);
  EXPECT_EQ(mkfs("-q -f " + path).status, 0);
}

TEST_F(MkfsToolTest, BadOptionsAreOneLineAndStatusOne) {
  const std::string path = scratch_.make_file("old.img", 32U << 20);
  for (const char* bad :
       {"-b 1000", "-b 2K", "-b 128K", "-b x", "--node-size 3", "-U nonsense",
        "-U 00000000-0000-0000-0000-000000000000", "-O encrypt", "--no-such", "-b 64K --node-size 16K"}) {
    const CommandResult result = mkfs(std::string(bad) + " " + path);
    EXPECT_EQ(result.status, 1) << bad;
    EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
  }
  EXPECT_EQ(mkfs(path + " 10Q").status, 1);
  EXPECT_EQ(mkfs(path + " -5").status, 1);
  EXPECT_EQ(mkfs(path + " 99999999999P").status, 1);
  EXPECT_EQ(mkfs("").status, 1);
  EXPECT_EQ(mkfs("-L " + std::string(65, 'x') + " " + path).status, 1);
  EXPECT_EQ(contents_of(path).find_first_not_of('\0'), std::string::npos);
}

TEST_F(MkfsToolTest, ClosedStreamsDoNotBecomeTheDevice) {
  const std::string options = " -f -U 12345678-1234-1234-1234-123456789abc ";
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    const std::string path = scratch_.make_file("disk.img", 32U << 20);
    EXPECT_EQ(run_command("( " ASHLAR_MKFS + options + path + " " + closed + " )").status, 0) << closed;
    EXPECT_EQ(contents_of(path, 8192).find_first_not_of('\0'), std::string::npos) << closed << ": a report was written";
    EXPECT_EQ(contents_of(path, 8200).substr(8192), "AshlarFS") << closed;
  }
}

TEST_F(MkfsToolTest, AReportThatCannotBeWrittenIsStatusOne) {
  const std::string path = scratch_.make_file("disk.img", 32U << 20);
  const CommandResult result = run_command("( " ASHLAR_MKFS " " + path + " >/dev/full )");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.output, "mkfs.ashlarfs: standard output: No space left on device\n");
  EXPECT_EQ(contents_of(path, 8200).substr(8192), "AshlarFS") << "made all the same";
  EXPECT_EQ(run_command("( " ASHLAR_MKFS " -q -f " + path + " >/dev/full )").status, 0) << "nothing to report";
  EXPECT_EQ(run_command("( " ASHLAR_MKFS " --help >/dev/full )").status, 1);
}

TEST_F(MkfsToolTest, AFeatureIsSwitchedOnByName) {
  const std::string path = scratch_.make_file("new.img", 32U << 20);
  const auto superblock = [&path] {
    format::Superblock read{};
    const std::string bytes = contents_of(path);
    std::memcpy(&read, bytes.data() + format::superblock_offset(1, 0), sizeof read);
    return read;
  };
  ASSERT_EQ(mkfs("-q -O mmp,default " + path).status, 0);
  EXPECT_EQ(superblock().read_only_compatible, format::kHostClaims);
  ASSERT_EQ(mkfs("-q -f -O none " + path + " 32M").status, 0) << "took what follows for features";
  EXPECT_EQ(superblock().read_only_compatible, 0U);
}

TEST_F(MkfsToolTest, HelpAndVersionSucceed) {
  const CommandResult help = mkfs("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.output, HasSubstr("--dry-run"));
  EXPECT_EQ(mkfs("-V").status, 0);
  EXPECT_THAT(mkfs("--version").output, HasSubstr("mkfs.ashlarfs "));
}

}  // namespace
}  // namespace ashlar::mkfs
