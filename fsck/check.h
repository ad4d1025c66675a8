// Checks a volume that nobody has mounted, from the superblocks to the link counts.
#pragma once

#include <functional>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fsck/finding.h"

namespace ashlar::fsck {

struct CheckOptions {
  bool heal = false;    // write a bad copy of a piece of metadata anew from the good one; nothing else is repaired
  bool data = false;    // read all file contents and compare them with their checksums
  bool search = false;  // take a device without any trace of a superblock for a volume that lost all of them
  // Inodes and names remembered at a time, 24 to 80 bytes each, besides the directories, which are always remembered. A
  // volume with more is read several times, for one range of inode numbers after the other.
  std::size_t most_records = 8U << 20;
  // Called now and then with what has been looked at so far (0 to 1); false ends the check with `cancelled`.
  std::function<bool(double)> progress;
};

// The state checked is the one after the log's transactions; they are read, not applied. Contradictions are findings in
// the report; an error is returned when the device holds no volume (not_a_volume, unsupported_format) or cannot be read
// at all, when memory is out, or when cancelled.
[[nodiscard]] Result<Report> check_volume(blockio::BlockDevice& device, blockio::IoQueue& io,
                                          const CheckOptions& options);

// Whether the newest superblock says that the volume was unmounted cleanly and found no errors: then there is nothing
// to check unless one insists. not_a_volume and other errors of the superblock as they are.
[[nodiscard]] Result<bool> is_marked_clean(blockio::BlockDevice& device, blockio::IoQueue& io);

// A daemon that had to stop leaves a mark, so that fsck looks. Takes it away from a volume in which nothing is wrong
// (any more), copy by copy: a power cut in between leaves copies that differ, which the next run heals.
[[nodiscard]] Status clear_error_mark(blockio::BlockDevice& device, blockio::IoQueue& io);

}  // namespace ashlar::fsck
