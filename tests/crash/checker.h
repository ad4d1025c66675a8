// Judges what a crash left: it mounts, it checks clean, and it shows the state after a prefix of the operations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "tests/crash/crash_states.h"
#include "tests/crash/session.h"
#include "tests/crash/view.h"

namespace ashlar::crash_test {

// How much is done with a state.
enum class Care : std::uint8_t {
  mounted,  // fsck before the mount, mount, look
  // Read-only at first, which shows the same and writes nothing; then more operations, unmount, fsck, and that nothing
  // but the tree's own is in use at the end.
  used,
};

// What was checked.
struct Tally {
  std::uint64_t states = 0;  // that a power cut may leave, each compared with what may show then
  std::uint64_t images = 0;  // mounted and looked at for that; equal states of a run share one
};
[[nodiscard]] std::string text_of(const Tally& tally);

class Checker {
 public:
  Checker();
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  // By all that have ended in this process.
  [[nodiscard]] static Tally total();

  // What mounting an image showed. Independent of the history.
  struct Finding {
    std::string problem;  // empty: none
    std::uint64_t digest = 0;
    std::string view;
  };
  [[nodiscard]] Finding examine(const blockio::MemoryImage& image, Care care);

  // All states of a recorded run, each time from the same volume; nullopt when all are right, else what is wrong with
  // the first that is not.
  [[nodiscard]] std::optional<std::string> check_run(const blockio::RecordingDevice& device, const History& history,
                                                     std::uint64_t seed, std::size_t variants);

  // Power cuts while that image is recovered, and `depth` times again while what they left is: all end in the same
  // state.
  [[nodiscard]] std::optional<std::string> check_recovery(const blockio::MemoryImage& image, std::uint64_t seed,
                                                          std::size_t variants, unsigned depth);

  // A state with that view, when only moments from `first` to `last` may show.
  [[nodiscard]] static std::optional<std::string> judge(const History& history, std::size_t first, std::size_t last,
                                                        const Finding& finding);

  [[nodiscard]] const Tally& tally() const noexcept { return tally_; }
  // Of the images of check_run(): runs with different seeds may come to the same.
  [[nodiscard]] std::size_t distinct() const noexcept { return distinct_.size(); }

 private:
  [[nodiscard]] std::optional<std::string> check_state(const CrashState& state, const History& history);

  // What a read-only mount does that it should not; empty: nothing.
  [[nodiscard]] std::string check_read_only(const blockio::MemoryImage& image, const std::string& view);

  Viewer viewer_;
  std::unordered_map<std::uint64_t, Finding> known_;  // by identity, of the run at hand
  std::unordered_set<std::uint64_t> distinct_;        // identities
  Tally tally_;
};

}  // namespace ashlar::crash_test
