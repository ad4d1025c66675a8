// What a scrub found, for people and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fs/fuse/scrub_protocol.h"

namespace ashlar::ctl {

// Findings kept to be listed and named; more are counted.
inline constexpr std::size_t kMaxKeptFindings = 10'000;
// Names listed.
inline constexpr std::size_t kMaxNames = 10'000;

struct ScrubReport {
  std::uint64_t metadata_bytes = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t unchecked_bytes = 0;
  std::uint64_t metadata_bad = 0;  // copies
  std::uint64_t metadata_healed = 0;
  std::uint64_t data_bad = 0;  // runs of blocks
  bool cancelled = false;
  std::vector<fuse::ScrubFinding> findings;
  struct Name {
    std::string path;
    std::uint64_t inode = 0;
  };
  std::vector<Name> names;  // of the files that damage is left in

  void add(const fuse::ScrubExchange& step);
  [[nodiscard]] bool found_damage() const noexcept { return metadata_bad + data_bad != 0; }
  [[nodiscard]] bool damage_remains() const noexcept { return metadata_bad != metadata_healed || data_bad != 0; }
};

// One line, safe for a terminal.
[[nodiscard]] std::string finding_text(const fuse::ScrubFinding& finding);
[[nodiscard]] std::string summary_text(const ScrubReport& report);
[[nodiscard]] std::string report_json(const ScrubReport& report);

}  // namespace ashlar::ctl
