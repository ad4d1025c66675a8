// The ashlarctl program on image files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "blockio/memory_device.h"
#include "fs/format/log.h"
#include "fs/format/superblock.h"
#include "mkfs/format_volume.h"
#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::ctl {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::run_command;
using ashlar::testing::Scratch;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kVolumeBytes = 32U << 20;

CommandResult ctl(const std::string& arguments) { return run_command(ASHLAR_CTL " " + arguments); }

class CtlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(scratch_.ready());
    blockio::MemoryDevice device(kVolumeBytes);
    const auto io = device.open_queue({});
    ASSERT_TRUE(io);
    mkfs::FormatOptions options;
    options.label = "a\x1b]label";
    options.uuid = mkfs::Uuid{0xab, 0xcd};
    const auto outcome = mkfs::format_volume(device, **io, options);
    ASSERT_TRUE(outcome);
    superblock_ = outcome->superblock;
    path_ = scratch_.make_file("volume.img", kVolumeBytes);
    const blockio::MemoryImage image = device.snapshot();
    std::string bytes(kVolumeBytes, '\0');
    image.read(0, std::as_writable_bytes(std::span(bytes)));
    write(0, bytes);
  }

  void write(std::uint64_t offset, std::string_view bytes) const {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  void write_superblock(std::size_t slot, std::size_t copy, format::Superblock superblock) const {
    format::seal(superblock);
    write(format::superblock_offset(slot, copy), {reinterpret_cast<const char*>(&superblock), sizeof superblock});
  }

  // One line that names the image, and nothing else.
  void expect_error(const std::string& arguments, const std::string& why) const {
    const CommandResult result = ctl(arguments);
    EXPECT_EQ(result.status, 1) << result.output;
    EXPECT_THAT(result.output, HasSubstr(path_));
    EXPECT_THAT(result.output, HasSubstr(why));
    EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
  }

  void expect_last_line(const std::string& arguments, const std::string& why) const {
    const CommandResult result = ctl(arguments);
    EXPECT_EQ(result.status, 1) << result.output;
    const std::string last = result.output.substr(result.output.rfind('\n', result.output.size() - 2) + 1);
    EXPECT_THAT(last, HasSubstr("ashlarctl: " + path_));
    EXPECT_THAT(last, HasSubstr(why));
  }

  Scratch scratch_;
  std::string path_;
  format::Superblock superblock_{};
};

TEST_F(CtlTest, StreamsThatAreClosedOrFull) {
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
    EXPECT_EQ(run_command("( " ASHLAR_CTL " info " + path_ + " " + closed + " )").status, 0) << closed;
  }
  const CommandResult full = run_command("( " ASHLAR_CTL " info " + path_ + " >/dev/full )");
  EXPECT_EQ(full.status, 1);
  EXPECT_EQ(full.output, "ashlarctl: standard output: No space left on device\n");
  EXPECT_EQ(run_command("( " ASHLAR_CTL " --help >/dev/full )").status, 1);
}

TEST_F(CtlTest, InfoTellsTheGeometry) {
  const CommandResult result = ctl("info " + path_);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("abcd0000-0000-0000-0000-000000000000"));
  EXPECT_THAT(result.output, HasSubstr("8192 blocks of 4096 bytes in 1 group\n"));
  EXPECT_THAT(result.output, HasSubstr("clean"));
  EXPECT_THAT(result.output, HasSubstr("slot 1 copy 1: generation 1"));
  EXPECT_THAT(result.output, HasSubstr("slot 0 copy 0: empty"));
  EXPECT_THAT(result.output, HasSubstr("a?]label"));
  EXPECT_THAT(result.output, Not(HasSubstr("\x1b")));
}

TEST_F(CtlTest, InfoAsJson) {
  const CommandResult result = ctl("info --json " + path_);
  ASSERT_EQ(result.status, 0) << result.output;
  const auto json = nlohmann::json::parse(result.output, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << result.output;
  EXPECT_EQ(json["uuid"], "abcd0000-0000-0000-0000-000000000000");
  EXPECT_EQ(json["block_count"], 8192);
  EXPECT_EQ(json["free_blocks"], superblock_.free_blocks.value());
  EXPECT_EQ(json["clean"], true);
  EXPECT_EQ(json["failures"], nlohmann::json({{"count", 0}}));
  ASSERT_EQ(json["superblocks"].size(), 4U);
  EXPECT_EQ(json["superblocks"][0]["valid"], false);
  EXPECT_EQ(json["superblocks"][3]["valid"], true);
}

TEST_F(CtlTest, InfoTakesTheNewestValidSuperblockAndTellsTheDamagedOnes) {
  format::Superblock newer = superblock_;
  newer.generation = 2;
  format::note_failure(newer, 1, "lost\x1b\x9b");
  format::note_failure(newer, ~0ULL, "\xff");
  write_superblock(0, 0, newer);
  write_superblock(0, 1, newer);
  write(format::superblock_offset(0, 1) + 40, "damage");
  const CommandResult result = ctl("info " + path_);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("has errors"));
  EXPECT_THAT(result.output, HasSubstr("stopped      2 times\n"));
  EXPECT_THAT(result.output, HasSubstr("first stop   1970-01-01 00:00:01 UTC: lost??\n"));
  EXPECT_THAT(result.output, HasSubstr("last stop    out of range: ?\n"));
  EXPECT_THAT(result.output, HasSubstr("slot 0 copy 0: generation 2"));
  EXPECT_THAT(result.output, HasSubstr("slot 0 copy 1: superblock checksum mismatch"));
  EXPECT_THAT(ctl("dump " + path_ + " superblock").output, HasSubstr("first stop   1970-01-01 00:00:01 UTC: lost??\n"));
  const auto json = nlohmann::json::parse(ctl("info --json " + path_).output, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["failures"]["count"], 2);
  EXPECT_EQ(json["failures"]["first"]["time"], 1);
  EXPECT_EQ(json["failures"]["first"]["reason"], "lost??");
  EXPECT_EQ(json["failures"]["last"]["time"], ~0ULL);
}

TEST_F(CtlTest, WhatIsNoVolumeIsSaidInOneLine) {
  format::Superblock newer = superblock_;
  newer.version = 2;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) write_superblock(1, copy, newer);
  expect_error("info " + path_, "format version 2");
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) write(format::superblock_offset(1, copy), "damage");
  expect_error("info " + path_, "not an AshlarFS volume");
  write(format::superblock_offset(1, 1), "AshlarFS but not a superblock");
  expect_error("info " + path_, "every superblock is damaged");
  std::filesystem::resize_file(path_, 100);
  expect_error("info " + path_, "not an AshlarFS volume");
  std::filesystem::remove(path_);
  expect_error("info " + path_, "No such file");
}

TEST_F(CtlTest, NobodyIsWaitedFor) {
  const std::string fifo = scratch_.file("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  for (const char* command : {"info", "map", "label", "uuid"}) {
    const CommandResult result = run_command("timeout 10 " ASHLAR_CTL " " + std::string(command) + " " + fifo);
    EXPECT_EQ(result.status, 1) << command;
    EXPECT_EQ(result.output, "ashlarctl: " + fifo + ": is neither a block device nor an image file\n");
  }
}

TEST_F(CtlTest, ATruncatedImageIsSaidToBeCut) {
  std::filesystem::resize_file(path_, kVolumeBytes - 4096);
  expect_error("info " + path_, "cut short");
}

TEST_F(CtlTest, DumpShowsSuperblocksGroupsAndNodes) {
  EXPECT_THAT(ctl("dump " + path_ + " superblock").output, HasSubstr("slot 1 copy 0 at byte 8192: generation 1"));
  const CommandResult group = ctl("dump " + path_ + " group 0");
  EXPECT_EQ(group.status, 0);
  EXPECT_THAT(group.output, HasSubstr("used 0 + 22\n"));
  EXPECT_THAT(group.output, HasSubstr("bitmap copy 1 at block 18: valid"));
  const CommandResult node = ctl("dump " + path_ + " node " + std::to_string(superblock_.root.address[1].value()));
  EXPECT_EQ(node.status, 0) << node.output;
  EXPECT_THAT(node.output, HasSubstr("(1 inode 0x0) mode 040755"));
  expect_error("dump " + path_ + " group 1", "has only 1 group");
  expect_error("dump " + path_ + " node 8192", "has only 8192 blocks");
  expect_error("dump " + path_ + " node 100", "not a tree node");
}

TEST_F(CtlTest, DumpShowsADamagedNodeAndSaysSo) {
  const std::uint64_t block = superblock_.root.address[0];
  const std::string command = "dump " + path_ + " node " + std::to_string(block);
  const std::string sound = ctl(command).output;
  // In a leaf's gap: nothing but the checksum tells.
  write(block * 4096U + 8000, "damage");
  const CommandResult gap = ctl(command);
  EXPECT_EQ(gap.status, 0) << gap.output;
  EXPECT_EQ(gap.output, "DAMAGED: tree node checksum mismatch\n" + sound);
  // Its count: the items make no sense, the header does.
  write(block * 4096U + 50, "\xff\xff");
  const CommandResult count = ctl(command);
  EXPECT_EQ(count.status, 0) << count.output;
  EXPECT_THAT(count.output, HasSubstr("DAMAGED: tree node at block " + std::to_string(block) + ": items reach"));
  EXPECT_THAT(count.output, HasSubstr("65535 entries"));
  EXPECT_THAT(count.output, Not(HasSubstr("(1 inode")));
}

TEST_F(CtlTest, DumpShowsAllOfAnInode) {
  const std::string output = ctl("dump " + path_ + " inode 1").output;
  for (const char* const part : {"flags 0x0", "0 attributes", "version ", "generation 1", "accessed ", "born "})
    EXPECT_THAT(output, HasSubstr(part));
}

TEST_F(CtlTest, DumpOfAGroupGoesOnWithOneCopy) {
  write(17 * 4096, "damage");  // slot 0 of copy 0
  write(16 * 4096, "damage");
  const CommandResult group = ctl("dump " + path_ + " group 0");
  EXPECT_EQ(group.status, 0) << group.output;
  EXPECT_THAT(group.output, HasSubstr("bitmap copy 1 at block 18: valid"));
  EXPECT_THAT(group.output, HasSubstr("used 0 + 22\n"));
}

TEST_F(CtlTest, DumpShowsInodesAndPaths) {
  const CommandResult inode = ctl("dump " + path_ + " inode 1");
  EXPECT_EQ(inode.status, 0) << inode.output;
  EXPECT_THAT(inode.output, HasSubstr("(1 inode 0x0) mode 040755"));
  EXPECT_EQ(ctl("dump " + path_ + " path /").output, inode.output);
  expect_error("dump " + path_ + " inode 77", "there is no inode 77");
  expect_error("dump " + path_ + " path /a/b", "there is no '/a/b'");
}

TEST_F(CtlTest, MapDrawsWhatIsInUse) {
  const CommandResult result = ctl("map " + path_);
  ASSERT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr(path_ + ": 32 MiB in 8192 blocks of 4096 bytes, as of generation 1\n"));
  // No terminal: 80 columns, no more than ASCII. Eight blocks a character: two heads' worth of superblocks first.
  EXPECT_THAT(result.output, HasSubstr("\n   0 bytes  FF"));
  EXPECT_THAT(result.output, HasSubstr("...\n"));
  EXPECT_THAT(result.output, HasSubstr("# in use, 1 to 9 partly, . free, F mostly fixed parts; each 32 KiB\n"));
  EXPECT_THAT(result.output, HasSubstr("\n  longest free run "));
  EXPECT_THAT(result.output, HasSubstr("\nfree runs from"));
  for (const char byte : result.output) EXPECT_TRUE(byte == '\n' || (byte >= ' ' && byte <= '~'));
}

TEST_F(CtlTest, MapAsJson) {
  const auto json = nlohmann::json::parse(ctl("map --json " + path_).output, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["blocks"], 8192);
  EXPECT_EQ(json["free"], superblock_.free_blocks.value());
  EXPECT_EQ(json["fixed"], format::Layout::of(superblock_).fixed_blocks());
  EXPECT_EQ(json["unknown"], 0);
  EXPECT_EQ(json["used"].get<std::uint64_t>() + json["fixed"].get<std::uint64_t>() + json["free"].get<std::uint64_t>(),
            8192U);
  std::uint64_t blocks = 0;
  for (const auto& runs : json["free_runs"]) {
    blocks += runs["blocks"].get<std::uint64_t>();
    EXPECT_GE(runs["blocks"], runs["from"].get<std::uint64_t>() * runs["count"].get<std::uint64_t>());
  }
  EXPECT_EQ(blocks, superblock_.free_blocks.value());
}

TEST_F(CtlTest, MapOfADamagedVolumeShowsTheRest) {
  for (const std::uint64_t block : {16U, 17U}) write(block * 4096, "damage");  // one copy of the bitmap, both slots
  EXPECT_EQ(ctl("map " + path_).status, 0);
  for (const std::uint64_t block : {18U, 19U}) write(block * 4096, "damage");
  const CommandResult bitmap = ctl("map " + path_);
  EXPECT_EQ(bitmap.status, 1);
  EXPECT_THAT(bitmap.output, HasSubstr("??????"));
  EXPECT_THAT(bitmap.output, HasSubstr("no valid copy of the bitmap of group 0; 1 group unknown"));
  EXPECT_THAT(bitmap.output, HasSubstr("run fsck.ashlarfs"));
  format::Superblock other = superblock_;
  other.free_blocks = other.free_blocks - 1;
  SetUp();
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) write_superblock(1, copy, other);
  expect_last_line("map " + path_, " by the superblock; ");
  std::filesystem::resize_file(path_, 100);
  expect_error("map " + path_, "not an AshlarFS volume");
}

TEST_F(CtlTest, Metadump) {
  const std::string image = scratch_.file("dump.img");
  const CommandResult result = ctl("metadump " + path_ + " " + image);
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(std::filesystem::file_size(image), kVolumeBytes);
  EXPECT_EQ(ctl("dump " + image + " inode 1").output, ctl("dump " + path_ + " inode 1").output);
  EXPECT_EQ(ctl("metadump " + path_ + " " + image).status, 1) << "it exists";
}

TEST_F(CtlTest, DumpShowsTheLog) {
  EXPECT_THAT(ctl("dump " + path_ + " log").output, HasSubstr("no chunk of this log\n0 chunks"));
  std::string chunk(sizeof(format::ChunkHeader) + sizeof(format::RecordHeader) + sizeof(format::LogOp), '\0');
  format::ChunkHeader header{};
  header.magic = format::kChunkMagic;
  std::memcpy(header.uuid, superblock_.uuid, sizeof header.uuid);
  header.epoch = superblock_.log_epoch;
  header.length = static_cast<std::uint32_t>(chunk.size());
  header.record_count = 1;
  format::RecordHeader record{};
  record.length = sizeof(format::RecordHeader) + sizeof(format::LogOp);
  record.op_count = 1;
  format::LogOp op{};
  op.op = static_cast<std::uint8_t>(format::LogOpKind::allocate);
  op.a = 5000;
  op.b = 3;
  std::memcpy(chunk.data(), &header, sizeof header);
  std::memcpy(chunk.data() + sizeof header, &record, sizeof record);
  std::memcpy(chunk.data() + sizeof header + sizeof record, &op, sizeof op);
  format::seal_chunk(std::as_writable_bytes(std::span(chunk)));
  write(superblock_.log_first * 4096U, chunk);
  const CommandResult result = ctl("dump " + path_ + " log");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("allocate blocks 5000 + 3"));
  EXPECT_THAT(result.output, HasSubstr("  ends at LSN 4096: no chunk of this log\n1 chunk\n"));
}

TEST_F(CtlTest, AnotherUuid) {
  const auto uuid_line = [&](const std::string& arguments) { return ctl("uuid " + path_ + arguments); };
  constexpr const char* kMade = "abcd0000-0000-0000-0000-000000000000";
  constexpr const char* kGiven = "01234567-89ab-cdef-0123-456789abcdef";
  EXPECT_EQ(uuid_line("").output, std::string(kMade) + "\n");
  EXPECT_THAT(ctl("info " + path_).output, Not(HasSubstr("metadata's")));
  EXPECT_FALSE(nlohmann::json::parse(ctl("info --json " + path_).output).contains("metadata_uuid"));

  const CommandResult given = uuid_line(std::string(" ") + kGiven);
  EXPECT_EQ(given.status, 0);
  EXPECT_EQ(given.output, "");
  EXPECT_EQ(uuid_line("").output, std::string(kGiven) + "\n");
  const std::string info = ctl("info " + path_).output;
  EXPECT_THAT(info, HasSubstr(kGiven));
  EXPECT_THAT(info, HasSubstr(kMade));
  EXPECT_THAT(info, HasSubstr("compatible user_uuid, "));
  const auto json = nlohmann::json::parse(ctl("info --json " + path_).output);
  EXPECT_EQ(json["uuid"], kGiven);
  EXPECT_EQ(json["metadata_uuid"], kMade);
  // The tree is found by its own.
  EXPECT_EQ(ctl("dump " + path_ + " path /").status, 0);

  EXPECT_EQ(uuid_line(" random").status, 0);
  EXPECT_NE(uuid_line("").output, std::string(kGiven) + "\n");
  EXPECT_EQ(uuid_line(std::string(" ") + kMade).status, 0);
  EXPECT_FALSE(nlohmann::json::parse(ctl("info --json " + path_).output).contains("metadata_uuid"));

  expect_error("uuid " + path_ + " nonsense", "'nonsense' is not a UUID");
  expect_error("uuid " + path_ + " 00000000-0000-0000-0000-000000000000", "not all zeros");
  EXPECT_EQ(uuid_line("").output, std::string(kMade) + "\n");
}

TEST_F(CtlTest, NothingIsWritten) {
  const auto before = std::filesystem::last_write_time(path_);
  ctl("info " + path_);
  ctl("dump " + path_ + " log");
  EXPECT_EQ(std::filesystem::last_write_time(path_), before);
}

TEST_F(CtlTest, HelpVersionAndMistakes) {
  EXPECT_EQ(ctl("--help").status, 0);
  EXPECT_THAT(ctl("--help").output, HasSubstr("info"));
  EXPECT_EQ(ctl("--version").status, 0);
  EXPECT_EQ(ctl("info --help").status, 0);
  EXPECT_EQ(ctl("").status, 1);
  EXPECT_EQ(ctl("info").status, 1);
  EXPECT_EQ(ctl("nonsense").status, 1);
  EXPECT_THAT(ctl("nonsense").output, HasSubstr("'nonsense' is unknown"));
  EXPECT_THAT(ctl("dump " + path_ + " nonsense").output, HasSubstr("'nonsense' is unknown"));
  EXPECT_EQ(ctl("scrub --nonsense x").status, 16);
  EXPECT_THAT(ctl("info /").output, HasSubstr("ashlarctl: /: is a directory"));
}

}  // namespace
}  // namespace ashlar::ctl
