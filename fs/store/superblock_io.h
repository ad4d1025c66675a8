// Reading and writing superblocks: two slots, two copies of each (format/superblock.h).
#pragma once

#include <array>
#include <memory>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/claim/volume_claim.h"
#include "fs/format/superblock.h"

namespace ashlar::store {

// The valid superblock of the highest generation. Damaged copies are passed over; a copy that cannot be read counts as
// damaged.
[[nodiscard]] Result<format::Superblock> read_superblock(const blockio::Geometry& geometry, blockio::IoQueue& io,
                                                         bool for_writing);

// A volume that nobody else writes to while its claim is kept.
struct ClaimedVolume {
  format::Superblock superblock;
  std::unique_ptr<claim::VolumeClaim> claim;  // null on a volume that knows no claims
};
// Takes the claim, and the superblock as its last holder left it.
[[nodiscard]] Result<ClaimedVolume> claim_volume(const blockio::Geometry& geometry, blockio::IoQueue& io,
                                                 const claim::ClaimOptions& options);

// Seals `superblock` and writes both copies of its generation's slot, then flushes. What it refers to must be on the
// medium before.
[[nodiscard]] Status write_superblock(blockio::IoQueue& io, format::Superblock& superblock);

// Seals the superblock that is in force and writes it again where it is: one copy after the other, so that a power cut
// leaves one whole.
[[nodiscard]] Status rewrite_superblock(blockio::IoQueue& io, format::Superblock& superblock);

// The time that superblocks tell: seconds since 1970.
[[nodiscard]] std::uint64_t now_seconds() noexcept;

}  // namespace ashlar::store
