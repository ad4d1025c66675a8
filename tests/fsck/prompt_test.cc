// The fsck.ashlarfs program on a terminal: what it shows and asks, and what each answer does.
#include <gmock/gmock.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "tests/fsck/tool_rig.h"

namespace ashlar::fsck::testing {
namespace {

using ashlar::testing::contents_of;
using ::testing::HasSubstr;

class Prompt : public Tool {
 protected:
  struct Outcome {
    int status = -1;
    std::string output;
  };
  // Runs the program on a terminal of its own and answers its questions; after the last answer there is none.
  Outcome run(const std::string& options, const std::string& path, std::vector<std::string> answers) {
    Outcome outcome;
    int terminal = -1;
    const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
      execl(ASHLAR_FSCK, ASHLAR_FSCK, options.c_str(), path.c_str(), nullptr);
      _exit(99);
    }
    std::array<char, 4096> buffer;
    std::size_t seen = 0;
    // The terminal ends with an error when the program does.
    for (ssize_t got = 0; (got = read(terminal, buffer.data(), buffer.size())) > 0;) {
      outcome.output.append(buffer.data(), static_cast<std::size_t>(got));
      const std::size_t question = outcome.output.find(kAnswers, seen);
      if (question == std::string::npos) continue;
      seen = question + 1;
      if (answers.empty()) {
        ADD_FAILURE() << "one question too many: " << outcome.output;
        answers.emplace_back("\x04");
      }
      const std::string answer = answers.front();
      answers.erase(answers.begin());
      EXPECT_EQ(write(terminal, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    }
    close(terminal);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
    EXPECT_TRUE(answers.empty()) << outcome.output;
    return outcome;
  }
  static constexpr std::string_view kAnswers = "? (y/n/a) ";
};

TEST_F(Prompt, NoChangesNothing) {
  contradict();
  const std::string path = save();
  const std::string before = contents_of(path);
  for (const char* answer : {"n\n", "\n", "maybe\n", "\x04"}) {
    const Outcome outcome = run("-f", path, {answer});
    EXPECT_EQ(outcome.status, 4) << outcome.output;
    const std::size_t finding = outcome.output.find("counts 7 links, it has 2");
    EXPECT_LT(finding, outcome.output.find("count the links anew? (y/n/a)")) << outcome.output;
    EXPECT_EQ(outcome.output.find("counts 7 links", finding + 1), std::string::npos) << "shown twice";
    EXPECT_THAT(outcome.output, HasSubstr(": errors remain"));
    EXPECT_TRUE(contents_of(path) == before) << answer;
  }
}

TEST_F(Prompt, AnInterruptEndsIt) {
  contradict();
  damage_one_copy();
  const std::string path = save();
  const std::string before = contents_of(path);
  for (const std::vector<std::string>& answers :
       {std::vector<std::string>{"\x03"}, std::vector<std::string>{"y\n", "\x03"}}) {
    const Outcome outcome = run("-f", path, answers);
    EXPECT_EQ(outcome.status, 32) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr(path + ": cancelled"));
    EXPECT_TRUE(contents_of(path) == before);
  }
}

TEST_F(Prompt, YesRepairs) {
  contradict();
  for (const char* answer : {"y\n", "Y\n", "a\n"}) {
    const std::string path = save();
    const Outcome outcome = run("-f", path, {answer});
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr("it has 2 (/d/f): repaired"));
    EXPECT_EQ(fsck("-n -f " + path).status, 0);
  }
}

// Every kind of finding is asked about; what goes together goes with a yes to all.
TEST_F(Prompt, EachKindHasItsQuestion) {
  volume.edit_items([&](ItemEditor& items) {
    items.put({volume.fifo, format::ItemKind::inline_data, 0}, "");
    items.edit_inode(volume.file, [](format::InodeItem& item) { item.links = 7; });
  });
  damage_one_copy();
  const std::string path = save("kinds.img");
  const auto repaired = [&path] { return fsck("-n -f " + path).status == 0; };
  // Copies, the item that does not belong there, the links.
  EXPECT_EQ(run("-f", path, {"n\n", "y\n", "n\n"}).status, 4);
  EXPECT_EQ(run("-f", path, {"n\n", "n\n"}).status, 4) << "no more questions about what a no has decided";
  EXPECT_THAT(fsck("-n -f " + path).output, HasSubstr("[030]"));
  EXPECT_EQ(run("-f", path, {"y\n", "n\n"}).status, 4);
  EXPECT_THAT(fsck("-n -f " + path).output, ::testing::Not(HasSubstr("[030]")));
  EXPECT_FALSE(repaired());
  EXPECT_EQ(run("-f", path, {"y\n", "a\n"}).status, 1);
  EXPECT_TRUE(repaired());
}

TEST_F(Prompt, YesToCopiesAndToTheRest) {
  contradict();
  damage_one_copy();
  mark_errors();
  for (const std::vector<std::string>& answers :
       {std::vector<std::string>{"y\n", "y\n"}, std::vector<std::string>{"a\n"}}) {
    const std::string path = save();
    const Outcome outcome = run("-f", path, answers);
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_EQ(fsck(path).output, path + ": clean\n");
    EXPECT_EQ(fsck("-n -f " + path).status, 0);
  }
}

TEST_F(Prompt, BadCopies) {
  damage_one_copy();
  mark_errors();
  const std::string path = save();
  EXPECT_EQ(run("-f", path, {"n\n"}).status, 4);
  EXPECT_EQ(fsck("-n -f " + path).status, 4);
  const Outcome outcome = run("-f", path, {"y\n"});
  EXPECT_EQ(outcome.status, 1) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("write the damaged copy anew from the good one? (y/n/a)"));
  EXPECT_EQ(fsck(path).output, path + ": clean\n");
  EXPECT_EQ(fsck("-n -f " + path).status, 0);
}

TEST_F(Prompt, TheMarkOfErrors) {
  mark_errors();
  const std::string path = save();
  EXPECT_EQ(run("-f", path, {"n\n"}).status, 0);
  const std::string why = "log write? failed";
  EXPECT_THAT(fsck("-n " + path).output, HasSubstr(path + ": a mount had to stop: " + why + "\n"));
  EXPECT_THAT(fsck("-n --json " + path).output, HasSubstr("\"stop_reason\": \"" + why + '"'));
  EXPECT_EQ(run("-f", path, {"y\n"}).status, 0);
  EXPECT_EQ(fsck(path).output, path + ": clean\n");
}

}  // namespace
}  // namespace ashlar::fsck::testing
