#include "fs/format/superblock.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "fs/format/checksum.h"
#include "fs/format/key.h"
#include "fs/format/layout.h"
#include "fs/format/node.h"
#include "fs/format/places.h"

namespace ashlar::format {
namespace {

constexpr std::size_t kSuperblockCrcOffset = offsetof(Superblock, crc);
constexpr std::uint64_t kLastLogStart = 1ULL << 62;  // leaves LSNs enough for ever without overflow

std::span<const std::byte> bytes_of(const Superblock& superblock) noexcept {
  return std::as_bytes(std::span(&superblock, 1));
}

tl::unexpected<Error> corrupt_superblock(std::string_view what) {
  return fail(ErrorCode::corrupt_structure, fmt::format("superblock: {}", what));
}

Status check_integrity(const Superblock& superblock) {
  if (superblock.magic != kSuperblockMagic) return fail(ErrorCode::not_a_volume);
  if (superblock.crc != crc32c_except(bytes_of(superblock), kSuperblockCrcOffset)) {
    return fail(ErrorCode::bad_checksum, "superblock checksum mismatch");
  }
  return {};
}

Status check_features(const Superblock& superblock, bool for_writing) {
  if (superblock.version != kFormatVersion) {
    return fail(ErrorCode::unsupported_format,
                fmt::format("format version {} where this program knows {}: use a newer AshlarFS",
                            superblock.version.value(), kFormatVersion));
  }
  if (const std::uint64_t unknown = superblock.incompatible & ~kKnownIncompatible; unknown != 0) {
    return fail(ErrorCode::unsupported_format,
                fmt::format("unknown incompatible features {:#x}: use a newer AshlarFS", unknown));
  }
  const std::uint64_t unknown = superblock.read_only_compatible & ~kKnownReadOnlyCompatible;
  if (for_writing && unknown != 0) {
    return fail(
        ErrorCode::unsupported_format,
        fmt::format("unknown features {:#x} that forbid writing: mount with -o ro or use a newer AshlarFS", unknown));
  }
  return {};
}

Status check_sizes(const Superblock& superblock, std::uint64_t device_size) {
  const std::uint32_t block_size = superblock.block_size;
  const std::uint32_t node_size = superblock.node_size;
  if (!std::has_single_bit(block_size) || block_size < kMinBlockSize || block_size > kMaxBlockSize) {
    return corrupt_superblock("block size out of range");
  }
  if (!std::has_single_bit(node_size) || node_size < kMinNodeSize || node_size > kMaxNodeSize ||
      node_size < block_size) {
    return corrupt_superblock("node size out of range");
  }
  const std::uint64_t blocks = superblock.block_count;
  if (blocks < kMinVolumeBytes / block_size || blocks > std::numeric_limits<std::int64_t>::max() / block_size) {
    return corrupt_superblock("block count out of range");
  }
  if (blocks > device_size / block_size) {
    return fail(ErrorCode::device_too_small,
                fmt::format("the volume has {} bytes and the device only {}: it was cut short", blocks * block_size,
                            device_size));
  }
  const std::uint64_t group_blocks = std::uint64_t{block_size} * 8;
  if (blocks / group_blocks >= std::numeric_limits<std::uint32_t>::max())
    return corrupt_superblock("too many block groups");
  return {};
}

Status check_root(const Superblock& superblock, const Layout& layout) {
  const NodePointer root = load(superblock.root);
  if (auto status = check_node_places(layout, root.address); !status) {
    return corrupt_superblock(fmt::format("root node {}", status.error().message()));
  }
  if (root.level > kMaxTreeLevel) return corrupt_superblock("tree too high");
  if (root.generation.value() == 0 || root.generation.value() > superblock.generation) {
    return corrupt_superblock("root node of a later generation");
  }
  return {};
}

Status check_state(const Superblock& superblock, const Layout& layout, bool for_writing) {
  if (superblock.generation == 0) return corrupt_superblock("generation 0");
  if (superblock.generation > kMaxGeneration) return corrupt_superblock("generation out of range");
  if (for_writing && superblock.generation >= kWritableGenerations)
    return corrupt_superblock("no generation is left to be written; mount with -o ro");
  if (superblock.group_table_blocks != layout.group_table_blocks())
    return corrupt_superblock("wrong size of the group table");
  if (auto status = layout.check(); !status) return corrupt_superblock(status.error().message());
  if (layout.log().count < kMinLogBytes / layout.block_size()) return corrupt_superblock("log too small");
  if (layout.log().count > kMaxLogBytes / layout.block_size()) return corrupt_superblock("log too large");
  if (superblock.log_epoch == 0) return corrupt_superblock("log epoch 0");
  if (superblock.log_start > kLastLogStart || superblock.log_start % layout.block_size() != 0) {
    return corrupt_superblock("log start out of range");
  }
  if (superblock.free_blocks > layout.block_count() - layout.fixed_blocks())
    return corrupt_superblock("too many free blocks");
  if (superblock.node_count == 0 || superblock.node_count > layout.block_count())
    return corrupt_superblock("node count out of range");
  if (superblock.next_inode <= kRootInode.value() || superblock.next_inode > kInodeNumberLimit)
    return corrupt_superblock("next inode number out of range");
  return check_root(superblock, layout);
}

}  // namespace

std::span<const std::uint8_t, 16> shown_uuid(const Superblock& superblock) noexcept {
  return (superblock.compatible & kUserUuid) != 0 ? superblock.user_uuid : superblock.uuid;
}

void set_shown_uuid(Superblock& superblock, std::span<const std::uint8_t, 16> uuid) noexcept {
  std::array<std::uint8_t, 16> wanted;
  std::copy(uuid.begin(), uuid.end(), wanted.begin());  // it may be a part of the superblock
  if (std::equal(wanted.begin(), wanted.end(), std::begin(superblock.uuid))) {
    superblock.compatible = superblock.compatible & ~kUserUuid;
    wanted.fill(0);
  } else {
    superblock.compatible = superblock.compatible | kUserUuid;
  }
  std::copy(wanted.begin(), wanted.end(), std::begin(superblock.user_uuid));
}

void note_failure(Superblock& superblock, std::uint64_t time, std::string_view reason) noexcept {
  superblock.flags = superblock.flags | kHasErrors;
  FailureItem& last = superblock.last_failure;
  last = {};
  last.time = time;
  std::memcpy(last.reason, reason.data(), std::min(reason.size(), kReasonSize));
  if (superblock.failure_count == 0) superblock.first_failure = last;
  superblock.failure_count = superblock.failure_count + 1;
}

void clear_failures(Superblock& superblock) noexcept {
  superblock.flags = superblock.flags & ~kHasErrors;
  superblock.failure_count = 0;
  superblock.first_failure = {};
  superblock.last_failure = {};
}

void seal(Superblock& superblock) noexcept {
  superblock.crc = crc32c_except(bytes_of(superblock), kSuperblockCrcOffset);
}

Status validate(const Superblock& superblock, std::uint64_t device_size, bool for_writing) {
  TRY(check_integrity(superblock));
  TRY(check_features(superblock, for_writing));
  TRY(check_sizes(superblock, device_size));
  return check_state(superblock, Layout::of(superblock), for_writing);
}

Result<std::size_t> choose_superblock(std::span<const Superblock> copies, std::uint64_t device_size, bool for_writing) {
  // Only what the checksum proves has a say. When that is of a format this program does not know, or not valid, an
  // older generation is no way out: its blocks may have been reused.
  std::optional<std::size_t> best;
  Status best_status;
  bool magic_seen = false;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].magic == kSuperblockMagic) magic_seen = true;
    if (!check_integrity(copies[i])) continue;
    if (best) {
      const std::uint64_t generation = copies[i].generation;
      const std::uint64_t best_generation = copies[*best].generation;
      if (generation < best_generation || (generation == best_generation && best_status)) continue;
    }
    best = i;
    best_status = validate(copies[i], device_size, for_writing);
  }
  if (!best) {
    if (!magic_seen) return fail(ErrorCode::not_a_volume);
    return fail(ErrorCode::bad_checksum, "every superblock is damaged");
  }
  if (!best_status) return fail(std::move(best_status).error());
  return *best;
}

}  // namespace ashlar::format
