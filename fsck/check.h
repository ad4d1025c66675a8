// Checks a volume that nobody has mounted, from the superblocks to the link counts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/claim/volume_claim.h"
#include "fsck/finding.h"

namespace ashlar::fsck {

// What is being done, numbered as `-C` tells it.
enum class Pass : std::uint8_t { log = 1, tree = 2, names = 3, bitmaps = 4, repair = 5 };

struct CheckOptions {
  // Write a bad copy of a piece of metadata anew from the good one, but for findings of the ids `leave`. Nothing else
  // is repaired.
  bool heal = false;
  std::set<FindingId> leave;
  bool data = false;    // read all file contents and compare them with their checksums
  bool search = false;  // take a device without any trace of a superblock for a volume that lost all of them
  // Inodes and names remembered at a time, 24 to 80 bytes each, besides the directories, which are always remembered. A
  // volume with more is read several times, for one range of inode numbers after the other.
  std::size_t most_records = 8U << 20;
  // Changes that a repair plans at a time, some 250 bytes each. Where more is wrong it makes these, and goes round
  // again.
  std::size_t most_changes = 1U << 20;
  // Items below lost nodes that a repair remembers the places of at a time, 80 bytes each. Where there are more, the
  // leaves that hold them are read again for the next ones. At least 1.
  std::size_t most_salvaged = 4U << 20;
  // Inodes whose paths are told besides those that findings are about.
  std::set<std::uint64_t> also_name;
  // Called now and then with what of a pass has been looked at so far (0 to 1); false ends it all with `cancelled`.
  std::function<bool(Pass, double)> progress;

  // To read what was checked before: the bounds and the progress, and nothing that changes or reports.
  [[nodiscard]] CheckOptions to_read_only() const;
};

// The state checked is the one after the log's transactions; they are read, not applied. Contradictions are findings in
// the report; an error is returned when the device holds no volume (not_a_volume, unsupported_format) or cannot be read
// at all, when memory is out, or when cancelled.
[[nodiscard]] Result<Report> check_volume(blockio::BlockDevice& device, blockio::IoQueue& io,
                                          const CheckOptions& options);

// Whether the newest superblock says that the volume was unmounted cleanly and found no errors: then there is nothing
// to check unless one insists. not_a_volume and other errors of the superblock as they are.
[[nodiscard]] Result<bool> is_marked_clean(blockio::BlockDevice& device, blockio::IoQueue& io);

// Before anything is changed of a volume that several hosts can reach; null when it is none, or nobody can tell.
[[nodiscard]] Result<std::unique_ptr<claim::VolumeClaim>> claim_volume(blockio::BlockDevice& device,
                                                                       blockio::IoQueue& io,
                                                                       const claim::ClaimOptions& options);

// A daemon that had to stop leaves a mark, so that fsck looks. Takes it away from a volume in which nothing is wrong
// (any more), copy by copy: a power cut in between leaves copies that differ, which the next run heals.
[[nodiscard]] Status clear_error_mark(blockio::BlockDevice& device, blockio::IoQueue& io);

}  // namespace ashlar::fsck
