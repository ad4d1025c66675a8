// The fsck.ashlarfs program: options, exit status, what it prints.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "blockio/file_device.h"
#include "tests/fsck/tool_rig.h"

namespace ashlar::fsck::testing {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::contents_of;
using ::testing::HasSubstr;

std::string counts() {
  return std::to_string(SampleVolume::kInodes) + " inodes (" + std::to_string(SampleVolume::kDirectories) +
         " directories)";
}

TEST_F(Tool, ACleanVolumeIsNotLookedAtWithoutForce) {
  damage_one_copy();
  const std::string path = save();
  const CommandResult skipped = fsck(path);
  EXPECT_EQ(skipped.status, 0);
  EXPECT_EQ(skipped.output, path + ": clean\n");
  EXPECT_THAT(fsck("-v " + path).output, HasSubstr("not looked at (-f"));
  const nlohmann::json json = nlohmann::json::parse(fsck("--json " + path).output, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["device"], path);
  EXPECT_EQ(json["checked"], false);
  EXPECT_EQ(json["clean"], true);
  EXPECT_EQ(json["exit_status"], 0);
  EXPECT_EQ(fsck("-p " + path).status, 0);
  EXPECT_EQ(fsck("-n -f " + path).status, 4);
}

TEST_F(Tool, ACleanVolumeChecked) {
  const std::string path = save();
  for (const char* options : {"-n -f ", "-f ", "-p -f ", "-a -f ", "-y -f ", "-f --data ", "-v -f "}) {
    const CommandResult result = fsck(options + path);
    EXPECT_EQ(result.status, 0) << options << result.output;
    EXPECT_THAT(result.output, HasSubstr(path + ": clean, " + counts())) << options;
  }
  EXPECT_THAT(fsck("-v -f " + path).output, HasSubstr(path + ": pass 2: tree\n"));
}

TEST_F(Tool, OneBadCopyIsHealed) {
  damage_one_copy();
  const std::string path = save();
  const std::string before = contents_of(path);
  EXPECT_EQ(fsck("-n -f " + path).status, 4);
  EXPECT_TRUE(contents_of(path) == before) << "-n wrote";
  for (const char* options : {"-p -f ", "-a -f ", "-y -f "}) {
    const std::string copy = save("copy.img");
    const CommandResult healed = fsck(options + copy);
    EXPECT_EQ(healed.status, 1) << options << healed.output;
    EXPECT_THAT(healed.output, HasSubstr("[030] healable: tree node"));
    EXPECT_THAT(healed.output, HasSubstr(": repaired"));
    EXPECT_EQ(fsck("-n -f " + copy).status, 0) << options;
  }
}

TEST_F(Tool, Contradictions) {
  contradict();
  const std::string path = save();
  const CommandResult result = fsck("-n -f " + path);
  EXPECT_EQ(result.status, 4);
  EXPECT_THAT(result.output, HasSubstr(path + ": [077] error: inode "));
  EXPECT_THAT(result.output, HasSubstr("counts 7 links, it has 2 (/d/f)\n"));
}

TEST_F(Tool, WhatIsCountedAnewIsSafe) {
  contradict();
  const std::string path = save();
  EXPECT_EQ(fsck("-f " + path).status, 4);  // nobody to ask
  for (const char* options : {"-p ", "-a -f ", "-y -f "}) {
    const std::string copy = save("copy.img");
    // The volume is marked clean; only with -f is it looked at.
    const CommandResult repaired = fsck(std::string(options) + "-f " + copy);
    EXPECT_EQ(repaired.status, 1) << options << repaired.output;
    EXPECT_THAT(repaired.output, HasSubstr("it has 2 (/d/f): repaired"));
    const CommandResult again = fsck("-n -f " + copy);
    EXPECT_EQ(again.status, 0) << again.output;
  }
}

TEST_F(Tool, WhatGivesSomethingUpNeedsAYes) {
  volume.edit_items([&](ItemEditor& items) { items.put({volume.fifo, format::ItemKind::inline_data, 0}, ""); });
  const std::string path = save();
  const std::string before = contents_of(path);
  for (const char* options : {"-p -f ", "-a -f ", "-f ", "-n -f "})
    EXPECT_EQ(fsck(options + path).status, 4) << options;
  EXPECT_TRUE(contents_of(path) == before);
  const CommandResult repaired = fsck("-y -f " + path);
  EXPECT_EQ(repaired.status, 1) << repaired.output;
  EXPECT_THAT(repaired.output, HasSubstr(": repaired"));
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Tool, WhatCannotBeRepaired) {
  format::ExtentItem extent;
  volume.edit_items([&](ItemEditor& items) { extent = items.first_extent(volume.file); });
  volume.edit_image([&](ImageEditor& image) { image.damage_block(BlockNumber{extent.physical}); });
  const std::string path = save();
  EXPECT_EQ(fsck("-y -f " + path).status, 0) << "only with --data are contents read";
  const CommandResult result = fsck("-y -f --data " + path);
  EXPECT_EQ(result.status, 4) << result.output;
  EXPECT_THAT(result.output, HasSubstr("[058] error"));
  EXPECT_THAT(result.output, HasSubstr(": cannot be repaired"));
}

TEST_F(Tool, Json) {
  contradict();
  const std::string path = save();
  const CommandResult result = fsck("--json -n -f " + path);
  EXPECT_EQ(result.status, 4);
  const nlohmann::json json = nlohmann::json::parse(result.output, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << result.output;
  EXPECT_EQ(json["device"], path);
  EXPECT_EQ(json["checked"], true);
  EXPECT_EQ(json["clean"], false);
  EXPECT_EQ(json["exit_status"], 4);
  EXPECT_EQ(json["inodes"], SampleVolume::kInodes);
  ASSERT_EQ(json["findings"].size(), 1U);
  EXPECT_EQ(json["findings"][0]["id"], 77);
  EXPECT_EQ(json["findings"][0]["name"], "link_count_wrong");
  EXPECT_EQ(json["findings"][0]["severity"], "error");
  EXPECT_EQ(json["findings"][0]["repaired"], false);
  EXPECT_EQ(json["findings"][0]["question"], "count the links anew?");
  EXPECT_EQ(json["findings"][0]["inode"], volume.file.value());
  EXPECT_EQ(json["findings"][0]["path"], "/d/f");
}

// In text no byte of a name is a command to the terminal; in JSON it is as it is.
TEST_F(Tool, PathsOfAnyBytes) {
  const std::string name = "\x1b[2J \\ \xc3\xa4";
  volume.rig.mount();
  const InodeNumber inode = volume.rig.make_file(volume.rig.make_directory(volume.left, "\n"), name);
  volume.rig.unmount();
  volume.edit_items(
      [&](ItemEditor& items) { items.edit_inode(inode, [](format::InodeItem& item) { item.links = 3; }); });
  const std::string path = save();
  EXPECT_THAT(fsck("-n -f " + path).output, HasSubstr(R"( (/d/left/\012/\033[2J \134 \303\244))"));
  const nlohmann::json json = nlohmann::json::parse(fsck("--json -n -f " + path).output, nullptr, false);
  EXPECT_EQ(json["findings"][0]["path"], "/d/left/\n/" + name);
}

// What no name leads to from the root is told from where its names end.
TEST_F(Tool, PathsBelowALostDirectory) {
  volume.edit_items([&](ItemEditor& items) {
    items.remove_name(volume.directory, "right");
    items.edit_inode(volume.file, [](format::InodeItem& item) { item.blocks = 1; });
    items.remove_name(volume.directory, "f");
  });
  const CommandResult result = fsck("-n -f " + save());
  EXPECT_THAT(result.output, HasSubstr(" counts 1 blocks, its extents have 8 (#" +
                                       std::to_string(volume.right.value()) + "/another name)\n"));
}

TEST_F(Tool, ADeviceThatWasCutShortIsLeftAlone) {
  const std::string path = save();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - (1U << 20));
  const std::string before = contents_of(path);
  for (const char* options : {"-y -f ", "-p -f ", "-n -f ", "-y "}) {
    const CommandResult result = fsck(options + path);
    EXPECT_EQ(result.status, 8) << options << result.output;
    EXPECT_THAT(result.output, HasSubstr("it was cut short")) << options;
  }
  EXPECT_TRUE(contents_of(path) == before);
}

TEST_F(Tool, WithoutRoomItSaysSo) {
  own_all_free_blocks(volume);
  const std::string path = save();
  const CommandResult result = fsck("-y -f " + path);
  EXPECT_EQ(result.status, 4) << result.output;
  EXPECT_THAT(result.output, HasSubstr("fsck.ashlarfs: " + path + ": not repaired: "));
  EXPECT_THAT(result.output, HasSubstr("[043] error: blocks "));
  EXPECT_THAT(result.output, ::testing::Not(HasSubstr(": repaired")));
}

TEST_F(Tool, Progress) {
  const std::string path = save();
  const CommandResult result = fsck("-n -f -C 1 " + path);
  EXPECT_EQ(result.status, 0);
  // As e2fsck: the pass, what is done, of how much, the device.
  for (const char* pass : {"1", "2", "3", "4"})
    EXPECT_THAT(result.output, HasSubstr(std::string(pass) + " 100 100 " + path + "\n"));
  contradict();
  EXPECT_THAT(fsck("-y -f -C 1 " + save()).output, HasSubstr("\n5 90 100 " + path + "\n"));
}

// The device would be the next file opened, and what is written there would go into it.
TEST_F(Tool, ProgressGoesOnlyWhereSomethingIsOpen) {
  const std::string path = save();
  for (const char* descriptor : {"3", "4", "5", "999999"}) {
    const CommandResult result = ashlar::testing::run_command("( " ASHLAR_FSCK " -y -f -C " + std::string(descriptor) +
                                                              " " + path + " 3>&- 4>&- 5>&- )");
    EXPECT_EQ(result.status, 16);
    EXPECT_THAT(result.output, HasSubstr("descriptor " + std::string(descriptor) + " is not open"));
  }
  EXPECT_EQ(fsck("-n -f -C 0 " + path).status, 0);
  EXPECT_EQ(ashlar::testing::run_command("( " ASHLAR_FSCK " -n -f -C 9 " + path + " 9>/dev/null )").status, 0);
}

// What the check could not look for before is told as well.
TEST_F(Tool, ErrorsBehindWhatWasFatal) {
  format::ExtentItem extent;
  volume.edit_items([&](ItemEditor& items) { extent = items.first_extent(volume.file); });
  volume.edit_image([&](ImageEditor& image) { image.damage_block(BlockNumber{extent.physical}); });
  erase_superblocks();
  const std::string path = save();
  const CommandResult result = fsck("-y --search --data " + path);
  EXPECT_EQ(result.status, 4) << result.output;
  EXPECT_THAT(result.output, HasSubstr("[001] fatal"));
  EXPECT_THAT(result.output, HasSubstr("(/d/f): cannot be repaired\n"));
  EXPECT_THAT(result.output, HasSubstr(path + ": errors remain, "));
}

TEST_F(Tool, AVolumeWithoutSuperblocksIsSearchedFor) {
  erase_superblocks();
  const std::string path = save();
  const std::string before = contents_of(path);
  EXPECT_EQ(fsck("-y -f " + path).status, 8);
  EXPECT_EQ(fsck("-n -f --search " + path).status, 4);
  EXPECT_TRUE(contents_of(path) == before);
  const CommandResult result = fsck("-y --search " + path);
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("[001] fatal"));
  EXPECT_THAT(result.output, HasSubstr(path + ": repaired, " + counts()));
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Tool, WhatIsNoVolume) {
  const std::string zeros = scratch.make_file("zeros.img", 64U << 20);
  const std::string tiny = scratch.make_file("tiny.img", 4096);
  for (const std::string& path : {zeros, tiny, scratch.file("missing.img")}) {
    const CommandResult result = fsck("-y -f " + path);
    EXPECT_EQ(result.status, 8) << result.output;
    EXPECT_THAT(result.output, HasSubstr("fsck.ashlarfs: " + path + ": "));
    EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
  }
}

TEST_F(Tool, ANewerFormatIsLeftAlone) {
  volume.edit_image([](ImageEditor& image) {
    image.superblock.incompatible = 1ULL << 60;
    image.write_superblock();
  });
  const std::string path = save();
  const std::string before = contents_of(path);
  const CommandResult result = fsck("-y -f " + path);
  EXPECT_EQ(result.status, 8);
  EXPECT_THAT(result.output, HasSubstr("use a newer AshlarFS"));
  EXPECT_TRUE(contents_of(path) == before);
}

TEST_F(Tool, Usage) {
  EXPECT_EQ(fsck("").status, 16);
  EXPECT_EQ(fsck("--no-such-option x").status, 16);
  EXPECT_EQ(fsck("-n -p x").status, 16);
  EXPECT_EQ(fsck("-n -y x").status, 16);
  EXPECT_EQ(fsck("-p -y x").status, 16);
  const CommandResult help = fsck("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.output, HasSubstr("--json"));
  const CommandResult version = fsck("-V");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.output, ::testing::StartsWith("fsck.ashlarfs "));
}

// Whatever the shell does to its streams, and to whom a report goes: a repair is made, and only where it belongs.
TEST_F(Tool, ClosedStreams) {
  contradict();
  const std::string path = save();
  const std::string before = contents_of(path);
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    const auto quiet_fsck = [&](const std::string& arguments) {
      return ashlar::testing::run_command("( " ASHLAR_FSCK " " + arguments + " " + closed + " )").status;
    };
    EXPECT_EQ(quiet_fsck("-n -f --data " + path), 4) << closed;
    EXPECT_TRUE(contents_of(path) == before) << closed;
    const std::string copy = save("copy.img");
    EXPECT_EQ(quiet_fsck("-y -f --data " + copy), 1) << closed;
    EXPECT_EQ(fsck("-n -f " + copy).status, 0) << closed;
  }
}

TEST_F(Tool, AReportThatCannotBeWritten) {
  contradict();
  const auto fsck_into = [](const std::string& arguments, const std::string& where) {
    return ashlar::testing::run_command("( " ASHLAR_FSCK " " + arguments + " " + where + " )");
  };
  for (const char* json : {"", "--json "}) {
    const std::string path = save();
    const CommandResult full = fsck_into(std::string("-y -f ") + json + path, ">/dev/full");
    EXPECT_EQ(full.status, 1 | 8) << json;
    EXPECT_EQ(full.output, "fsck.ashlarfs: standard output: No space left on device\n");
    EXPECT_EQ(fsck("-n -f " + path).status, 0) << "not repaired";
  }
  const std::string path = save();
  EXPECT_EQ(fsck_into("-n -f " + path, ">/dev/full 2>/dev/full").status, 4 | 8);
  EXPECT_EQ(fsck_into(path, ">/dev/full").status, 8) << "of a volume that is clean";
  EXPECT_EQ(fsck_into("--help", ">/dev/full").status, 8);
  // The reader is gone before anything is written.
  const std::string gone = "bash -c 'exec > >(exec true); wait $!; " ASHLAR_FSCK " -y -f " + path + "'";
  EXPECT_EQ(ashlar::testing::run_command(gone).status, 1 | 8);
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

bool catches(pid_t process, int signal) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0;
  }
  return false;
}

// It waits for the device, which is in use, when the signal comes; so what follows does not depend on time.
TEST_F(Tool, Interrupted) {
  const std::string path = save();
  auto device = blockio::open_device(path, {});
  ASSERT_TRUE(device);
  const pid_t child = fork();
  if (child == 0) {
    execl(ASHLAR_FSCK, ASHLAR_FSCK, "-n", "-f", path.c_str(), nullptr);
    _exit(99);
  }
  while (!catches(child, SIGINT)) usleep(1000);
  ASSERT_EQ(kill(child, SIGINT), 0);
  device->reset();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 32);
}

}  // namespace
}  // namespace ashlar::fsck::testing
