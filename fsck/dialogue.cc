#include "fsck/dialogue.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "fs/base/standard_streams.h"
#include "fsck/print_report.h"

namespace ashlar::fsck {
namespace {

enum class Answer : std::uint8_t { yes, no, all };

// Between two looks whether it was cancelled: a signal may come just before the wait for an answer begins.
constexpr int kPatienceMs = 100;

// The next character on the terminal; none at its end, and once it was cancelled.
std::optional<char> next_character(const std::atomic<bool>& cancelled) {
  pollfd terminal{STDIN_FILENO, POLLIN, 0};
  while (!cancelled) {
    const int ready = poll(&terminal, 1, kPatienceMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char character = '\0';
    const ssize_t count = ready < 0 ? 0 : read(STDIN_FILENO, &character, 1);
    if (count < 0 && errno == EINTR) continue;
    return count == 1 ? std::optional(character) : std::nullopt;
  }
  return std::nullopt;
}

// Without an answer it is no; once it was cancelled, to all that would follow.
Answer ask(const CommandLine& line, std::string_view question, const std::atomic<bool>& cancelled) {
  if (cancelled) return Answer::no;
  print("{}: {} (y/n/a) ", line.device, question);
  static_cast<void>(fflush(stdout));
  const std::optional<char> answer = next_character(cancelled);
  for (std::optional<char> rest = answer; rest && *rest != '\n';) rest = next_character(cancelled);
  if (!answer) print("\n");
  const char letter = answer.value_or('n');
  if (letter == 'a' || letter == 'A') return Answer::all;
  return letter == 'y' || letter == 'Y' ? Answer::yes : Answer::no;
}

class Dialogue {
 public:
  Dialogue(const CommandLine& line, const Report& report, const std::atomic<bool>& cancelled)
      : line_(line), report_(report), cancelled_(cancelled) {}

  Wishes run() {
    wishes_.rebuild = report_.takes(Repair::recount) || report_.takes(Repair::rebuild);
    for (const FindingId id : report_.ids()) {
      if (cancelled_) break;
      print("{}", findings_to_text(report_, line_, id));
      const Repair repair = kind_of(id).repair;
      if (repair == Repair::copy) {
        ask_about_copies(id);
      } else if (repair == Repair::recount || repair == Repair::rebuild) {
        ask_about_rebuild(id);
      }
    }
    return wishes_;
  }

 private:
  [[nodiscard]] bool is_wanted(FindingId id) {
    if (all_) return true;
    const Answer answer = ask(line_, kind_of(id).question, cancelled_);
    all_ = answer == Answer::all;
    return answer != Answer::no;
  }
  void ask_about_copies(FindingId id) {
    if (is_wanted(id)) {
      wishes_.heal = true;
    } else {
      wishes_.leave.insert(id);
    }
  }
  void ask_about_rebuild(FindingId id) {
    if (!wishes_.rebuild || is_wanted(id)) return;
    wishes_.rebuild = false;
    print("{}: it is one repair: nothing is changed now but damaged copies\n", line_.device);
  }

  const CommandLine& line_;
  const Report& report_;
  const std::atomic<bool>& cancelled_;
  Wishes wishes_;
  bool all_ = false;
};

}  // namespace

bool is_interactive(const CommandLine& line) {
  return line.mode == Mode::ask && !line.json && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
}

Wishes wishes_about(const CommandLine& line, const Report& report, const std::atomic<bool>& cancelled) {
  Wishes wishes;
  const bool loses = report.takes(Repair::rebuild);
  switch (line.mode) {
    case Mode::never: break;
    case Mode::safe: wishes.rebuild = !loses && report.takes(Repair::recount); break;
    case Mode::all: wishes.rebuild = loses || report.takes(Repair::recount); break;
    case Mode::ask:
      if (is_interactive(line)) wishes = Dialogue(line, report, cancelled).run();
  }
  return wishes;
}

bool wants_mark_cleared(const CommandLine& line, const std::atomic<bool>& cancelled) {
  if (line.mode != Mode::ask) return line.mode != Mode::never;
  return is_interactive(line) &&
         ask(line, "the volume is marked as having errors, and there are none: take the mark away?", cancelled) !=
             Answer::no;
}

}  // namespace ashlar::fsck
