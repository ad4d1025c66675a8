// Puts right what a check found, whatever it was, in one way: the items that can be kept are written as a new tree into
// blocks that nothing uses (where the tree is as it should be, it stays), with new bitmaps and counts, and then the
// superblock is switched to them. Nothing that the old superblock leads to is written over before that: a power cut at
// any moment, or an end because CheckOptions::progress said so, leaves the old volume or the new one.
#pragma once

#include "fsck/check.h"

namespace ashlar::fsck {

// What came of one rebuild.
struct Rebuilt {
  GivenUp given_up;
  std::uint64_t put_off = 0;  // changes beyond CheckOptions::most_changes; the volume is marked as having errors then
};

// Once. Damage that hid behind other damage may need another time, and so may what was put off. Where no superblock is
// left, or nodes are lost and the one that was newer is gone, the device is searched for what it led to. no_space when
// the new tree has no room beside the old one; errors of the superblock and the device as check_volume's.
[[nodiscard]] Result<Rebuilt> rebuild_volume(blockio::BlockDevice& device, blockio::IoQueue& io,
                                             const CheckOptions& options = {});

// Rebuilds until a check has nothing more to repair, or it does not help. `report` is that of the check before; what
// is gone in the end is marked as repaired there, and what was given up is added as notes.
[[nodiscard]] Status repair_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
                                   Report& report);

}  // namespace ashlar::fsck
