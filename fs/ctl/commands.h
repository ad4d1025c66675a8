// The commands of ashlarctl, one file each. They print to standard output; an error's message is for people and names
// the device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fs/base/result.h"

namespace ashlar::ctl {

struct InfoOptions {
  std::string device;
  bool json = false;
};
[[nodiscard]] Status show_info(const InfoOptions& options);

struct LabelOptions {
  std::string target;
  std::optional<std::string> wanted;  // empty: none
};
// Prints it when none is wanted.
[[nodiscard]] Status label(const LabelOptions& options);

enum class DumpPart : std::uint8_t { superblock, group, node, inode, path, log };

struct DumpOptions {
  std::string device;
  DumpPart part = DumpPart::superblock;
  // The one that belongs to the part.
  std::uint32_t group = 0;
  std::uint64_t block = 0;
  std::uint64_t inode = 0;
  std::string path;
};
[[nodiscard]] Status dump(const DumpOptions& options);

struct MapOptions {
  std::string device;
  bool json = false;
};
// Prints what can be read, also before an error that tells what cannot.
[[nodiscard]] Status map(const MapOptions& options);

struct MetadumpOptions {
  std::string device;
  std::string image;
};
[[nodiscard]] Status metadump(const MetadumpOptions& options);

inline constexpr std::uint64_t kDefaultScrubRate = 100;  // MiB/s
inline constexpr std::uint64_t kMaxScrubRate = 1U << 20;

struct ScrubOptions {
  std::string target;
  std::uint64_t rate = kDefaultScrubRate;  // 0: as fast as it goes; at most kMaxScrubRate
  bool json = false;
};
// `exit_status`: what to exit with, after an error, too.
[[nodiscard]] Status scrub(const ScrubOptions& options, int& exit_status);

inline constexpr std::uint64_t kDefaultShortestRun = 1U << 20;  // bytes
inline constexpr std::uint64_t kMaxShortestRun = 8U << 20;

struct DefragOptions {
  std::vector<std::string> paths;
  std::uint64_t shortest_run = kDefaultShortestRun;  // bytes
  bool recursive = false;
  bool dry_run = false;
  bool verbose = false;
};
// As scrub(). What goes wrong with one file is told, and the others follow.
[[nodiscard]] Status defrag(const DefragOptions& options, int& exit_status);

struct FilefragOptions {
  std::vector<std::string> paths;
};
// As defrag().
[[nodiscard]] Status filefrag(const FilefragOptions& options, int& exit_status);

inline constexpr std::uint64_t kMaxTrimMinimum = 64U << 20;  // bytes; the daemon discards no more at once

struct TrimOptions {
  std::string target;
  std::uint64_t shortest_run = 0;  // bytes; shorter free runs are left alone
};
// As scrub().
[[nodiscard]] Status trim(const TrimOptions& options, int& exit_status);

struct ResizeOptions {
  std::string target;
  std::uint64_t size = 0;  // bytes; 0: all of the device
  bool dry_run = false;
};
[[nodiscard]] Status resize(const ResizeOptions& options);

struct StatOptions {
  std::string target;
  bool json = false;
};
[[nodiscard]] Status show_status(const StatOptions& options);

}  // namespace ashlar::ctl
