// The fsck.ashlarfs program: options, exit status, what it prints.
#include <gmock/gmock.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

#include "blockio/file_device.h"
#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/save_image.h"
#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::fsck::testing {
namespace {

using ashlar::testing::CommandResult;
using ashlar::testing::contents_of;
using ashlar::testing::run_command;
using ashlar::testing::Scratch;
using ::testing::HasSubstr;

CommandResult fsck(const std::string& arguments) { return run_command(ASHLAR_FSCK " " + arguments); }

class Tool : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(scratch.ready()); }

  // The volume as an image file.
  std::string save(const std::string& name = "volume.img") {
    return save_image(scratch, name, volume.device().snapshot());
  }
  void damage_one_copy() {
    volume.edit_image(
        [](ImageEditor& image) { image.damage_block(image.pointer_to(image.leaves().front()).address[1]); });
  }
  void contradict() {
    volume.edit_items(
        [&](ItemEditor& items) { items.edit_inode(volume.file, [](format::InodeItem& item) { item.links = 7; }); });
  }

  Scratch scratch;
  DamagedVolume volume;
};

TEST_F(Tool, ACleanVolumeIsNotLookedAtWithoutForce) {
  damage_one_copy();
  const std::string path = save();
  const CommandResult skipped = fsck(path);
  EXPECT_EQ(skipped.status, 0);
  EXPECT_EQ(skipped.output, path + ": clean\n");
  EXPECT_EQ(fsck("-p " + path).status, 0);
  EXPECT_EQ(fsck("-n -f " + path).status, 4);
}

TEST_F(Tool, ACleanVolumeChecked) {
  const std::string path = save();
  for (const char* options : {"-n -f ", "-f ", "-p -f ", "-a -f ", "-y -f ", "-f --data ", "-v -f "}) {
    const CommandResult result = fsck(options + path);
    EXPECT_EQ(result.status, 0) << options << result.output;
    EXPECT_THAT(result.output, HasSubstr(path + ": clean, 111 inodes (4 directories)")) << options;
  }
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
  EXPECT_THAT(result.output, HasSubstr("counts 7 links, it has 2"));
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
    EXPECT_THAT(repaired.output, HasSubstr("it has 2: repaired"));
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
  EXPECT_EQ(json["clean"], false);
  EXPECT_EQ(json["exit_status"], 4);
  EXPECT_EQ(json["inodes"], 111);
  ASSERT_EQ(json["findings"].size(), 1U);
  EXPECT_EQ(json["findings"][0]["id"], 77);
  EXPECT_EQ(json["findings"][0]["name"], "link_count_wrong");
  EXPECT_EQ(json["findings"][0]["severity"], "error");
  EXPECT_EQ(json["findings"][0]["repaired"], false);
}

TEST_F(Tool, Progress) {
  const std::string path = save();
  const CommandResult result = fsck("-n -f -C 1 " + path);
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.output, HasSubstr("100 100 " + path + "\n"));
}

// With a terminal: what is asked, and what each answer does.
class Prompt : public Tool {
 protected:
  struct Outcome {
    int status = -1;
    std::string output;
  };
  // Runs the program on a terminal of its own and answers the first question.
  Outcome run(const std::string& options, const std::string& path, const std::string& answer) {
    Outcome outcome;
    int terminal = -1;
    const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
      execl(ASHLAR_FSCK, ASHLAR_FSCK, options.c_str(), path.c_str(), nullptr);
      _exit(99);
    }
    std::array<char, 4096> buffer;
    bool answered = false;
    // The terminal ends with an error when the program does.
    for (ssize_t got = 0; (got = read(terminal, buffer.data(), buffer.size())) > 0;) {
      outcome.output.append(buffer.data(), static_cast<std::size_t>(got));
      if (answered || outcome.output.find("(y/n)") == std::string::npos) continue;
      answered = true;
      EXPECT_EQ(write(terminal, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    }
    close(terminal);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
    EXPECT_TRUE(answered) << outcome.output;
    return outcome;
  }
};

TEST_F(Prompt, NoChangesNothing) {
  contradict();
  const std::string path = save();
  const std::string before = contents_of(path);
  for (const char* answer : {"n\n", "\n", "maybe\n", "\x04"}) {
    const Outcome outcome = run("-f", path, answer);
    EXPECT_EQ(outcome.status, 4) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr("counts 7 links, it has 2"));
    EXPECT_THAT(outcome.output, HasSubstr("repair all of this? (y/n)"));
    EXPECT_TRUE(contents_of(path) == before) << answer;
  }
}

TEST_F(Prompt, YesRepairs) {
  contradict();
  const std::string path = save();
  const Outcome outcome = run("-f", path, "y\n");
  EXPECT_EQ(outcome.status, 1) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("it has 2: repaired"));
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Prompt, ItSaysWhenSomethingIsGivenUp) {
  volume.edit_items([&](ItemEditor& items) { items.put({volume.fifo, format::ItemKind::inline_data, 0}, ""); });
  const std::string path = save();
  const Outcome outcome = run("-f", path, "Y\n");
  EXPECT_EQ(outcome.status, 1) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("What is damaged beyond repair is given up. (y/n)"));
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Prompt, BadCopies) {
  damage_one_copy();
  const std::string path = save();
  EXPECT_EQ(run("-f", path, "n\n").status, 4);
  EXPECT_EQ(fsck("-n -f " + path).status, 4);
  const Outcome outcome = run("-f", path, "y\n");
  EXPECT_EQ(outcome.status, 1) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("write the bad copies anew from the good ones? (y/n)"));
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Tool, AVolumeWithoutSuperblocksIsSearchedFor) {
  volume.edit_image([](ImageEditor& image) {
    const std::vector<std::byte> zeros(format::kSuperblockSize);
    for (std::size_t i = 0; i < format::kSuperblockSlots * format::kCopies; ++i)
      image.write_at(format::superblock_offset(i / format::kCopies, i % format::kCopies), zeros);
  });
  const std::string path = save();
  const std::string before = contents_of(path);
  EXPECT_EQ(fsck("-y -f " + path).status, 8);
  EXPECT_EQ(fsck("-n -f --search " + path).status, 4);
  EXPECT_TRUE(contents_of(path) == before);
  const CommandResult result = fsck("-y --search " + path);
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("[001] fatal"));
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
