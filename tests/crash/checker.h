// Judges what a crash left: it mounts, it checks clean, and it shows the state after a prefix of the operations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

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

class Checker {
 public:
  Checker();

  // What mounting an image showed. Independent of the history.
  struct Finding {
    std::string problem;  // empty: none
    std::uint64_t digest = 0;
    std::string view;
  };
  [[nodiscard]] Finding examine(const blockio::MemoryImage& image, Care care);

  // All states of a recorded run; nullopt when all are right, else what is wrong with the first that is not.
  [[nodiscard]] std::optional<std::string> check_run(const blockio::RecordingDevice& device, const History& history,
                                                     std::uint64_t seed, std::size_t variants);

  // Power cuts while that image is recovered, and `depth` times again while what they left is: all end in the same
  // state.
  [[nodiscard]] std::optional<std::string> check_recovery(const blockio::MemoryImage& image, std::uint64_t seed,
                                                          std::size_t variants, unsigned depth);

  // A state with that view, when only moments from `first` to `last` may show.
  [[nodiscard]] static std::optional<std::string> judge(const History& history, std::size_t first, std::size_t last,
                                                        const Finding& finding);

  // Different images examined; and states that they stood for.
  [[nodiscard]] std::uint64_t images() const noexcept { return images_; }
  [[nodiscard]] std::uint64_t states() const noexcept { return states_; }

 private:
  [[nodiscard]] std::optional<std::string> check_state(const CrashState& state, const History& history);

  // What a read-only mount does that it should not; empty: nothing.
  [[nodiscard]] std::string check_read_only(const blockio::MemoryImage& image, const std::string& view);

  Viewer viewer_;
  std::unordered_map<std::uint64_t, Finding> known_;  // by identity, of the run at hand
  std::uint64_t images_ = 0;
  std::uint64_t states_ = 0;
};

}  // namespace ashlar::crash_test
