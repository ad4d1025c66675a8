// The superblock: where a volume's state of one generation is found.
//
// Two slots, used in turn (slot = generation % 2), two copies of each. The valid superblock of the highest generation
// is the volume. Writing it is what makes a checkpoint happen.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/endian.h"

namespace ashlar::format {

inline constexpr std::uint64_t kSuperblockMagic = 0x5346'7261'6c68'7341ULL;  // "AshlarFS" in byte order
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSuperblockSize = 4096;
inline constexpr std::size_t kSuperblockSlots = 2;
inline constexpr std::size_t kCopies = 2;  // of every piece of metadata

inline constexpr std::uint64_t kMinVolumeBytes = 16ULL << 20;
inline constexpr std::uint32_t kMinBlockSize = 512;  // mkfs offers 4096 and more; tests use less
inline constexpr std::uint32_t kMaxBlockSize = 65536;
inline constexpr std::uint32_t kMinNodeSize = 1024;
inline constexpr std::uint32_t kMaxNodeSize = 65536;
inline constexpr std::size_t kLabelSize = 64;
inline constexpr std::size_t kReasonSize = 120;

// The highest generation that a superblock may have, and from which on nothing writes to the volume any more: however
// many checkpoints a mount makes, its generations do not begin anew.
inline constexpr std::uint64_t kMaxGeneration = ~0ULL << 32;
inline constexpr std::uint64_t kWritableGenerations = 1ULL << 63;

// Feature bits. Unknown compatible ones are ignored, unknown read-only compatible ones forbid writing, unknown
// incompatible ones forbid mounting.
inline constexpr std::uint64_t kUserUuid = 1;  // compatible: the volume is known by Superblock::user_uuid
inline constexpr std::uint64_t kKnownCompatible = kUserUuid;
inline constexpr std::uint64_t kHostClaims = 1;  // read-only compatible: who writes claims the volume, see host_claim.h
inline constexpr std::uint64_t kKnownReadOnlyCompatible = kHostClaims;
inline constexpr std::uint64_t kKnownIncompatible = 0;

// Superblock::flags
inline constexpr std::uint32_t kCleanlyUnmounted = 1;  // the log is empty
inline constexpr std::uint32_t kHasErrors = 2;         // fsck should look even if clean

// What a pointer to a tree node holds: enough to notice any stale, lost or misdirected write.
struct NodePointerItem {
  le64 address[kCopies];  // first block of each copy
  le64 generation;
  le32 crc;
  std::uint8_t level;  // 0: leaf
  std::uint8_t reserved[3];
};
static_assert(sizeof(NodePointerItem) == 32 && std::is_trivially_copyable_v<NodePointerItem>);

// A failure that stopped the volume.
struct FailureItem {
  le64 time;                 // seconds since 1970
  char reason[kReasonSize];  // for people: ASCII, padded with NUL
};
static_assert(sizeof(FailureItem) == 128 && std::is_trivially_copyable_v<FailureItem>);

struct Superblock {
  le64 magic;
  le32 crc;  // of all kSuperblockSize bytes, itself taken as zero
  le32 version;
  std::uint8_t uuid[16];   // in all metadata, for ever
  char label[kLabelSize];  // UTF-8, padded with NUL
  le64 compatible;
  le64 read_only_compatible;
  le64 incompatible;
  le32 block_size;
  le32 node_size;
  le64 block_count;
  le64 generation;
  le32 flags;
  le32 group_table_crc;        // over the le32 checksums of the current group table blocks, in order
  std::uint8_t hash_seed[16];  // keys the hash of names
  NodePointerItem root;
  le64 node_count;   // of the tree, the root included
  le64 free_blocks;  // clear bits in all bitmaps of this generation
  le64 next_inode;   // a number never used before
  le64 group_table_first[kCopies];
  le32 group_table_blocks;  // in one slot of one copy
  le32 reserved0;
  le64 log_first;  // first block of the log area
  le64 log_blocks;
  le64 log_epoch;        // chunks of another epoch are not of this log
  le64 log_start;        // LSN of the first chunk to replay
  le32 log_start_chain;  // Chunk::previous_crc expected there
  le32 mount_count;
  le64 created_time;  // seconds since 1970
  le64 mounted_time;
  le64 written_time;
  le64 item_count[16];   // by ItemKind
  le64 metadata_errors;  // found by the daemon since mkfs
  le64 metadata_healed;
  le64 data_errors;
  le64 failure_count;         // failures that stopped the volume since fsck last found or made it sound
  FailureItem first_failure;  // of those
  FailureItem last_failure;
  std::uint8_t user_uuid[16];  // with kUserUuid: see shown_uuid()
  std::uint8_t reserved[kSuperblockSize - 744];
};
static_assert(sizeof(Superblock) == kSuperblockSize && std::is_trivially_copyable_v<Superblock>);
// What a checkpoint changes lies within one sector of any device, so that it is never torn. Failures do not: they
// are written in place one copy after the other.
inline constexpr std::size_t kSmallestSector = 512;
static_assert(offsetof(Superblock, first_failure) <= kSmallestSector);
static_assert(offsetof(Superblock, uuid) == 16 && offsetof(Superblock, label) == 32);

// The UUID that the volume is known by: that of its metadata until another one is given.
[[nodiscard]] std::span<const std::uint8_t, 16> shown_uuid(const Superblock& superblock) noexcept;
void set_shown_uuid(Superblock& superblock, std::span<const std::uint8_t, 16> uuid) noexcept;

// The epoch of the log that follows one of `epoch`: any other will do, except 0. mkfs draws one below 2^63, so that a
// higher one is a later one for ever; volumes of old may have any.
[[nodiscard]] constexpr std::uint64_t next_log_epoch(std::uint64_t epoch) noexcept {
  return epoch + 1 == 0 ? 1 : epoch + 1;
}

// Byte offset on the device of a slot's copy; the same for every block size.
[[nodiscard]] constexpr std::uint64_t superblock_offset(std::size_t slot, std::size_t copy) noexcept {
  constexpr std::uint64_t kFirst = 4096;
  constexpr std::uint64_t kSecondCopy = 8ULL << 20;
  return kFirst + copy * kSecondCopy + slot * kSuperblockSize;
}

// The volume stops: marks it for fsck, and tells when (seconds since 1970) and why, cut to what fits.
void note_failure(Superblock& superblock, std::uint64_t time, std::string_view reason) noexcept;

// fsck found or made it sound: the mark and the failures go.
void clear_failures(Superblock& superblock) noexcept;

// Sets crc over everything else.
void seal(Superblock& superblock) noexcept;

// Checks magic, checksum, version, features (unsupported_format), sizes and every address against `device_size` bytes.
// `for_writing`: unknown read-only compatible features are errors too. Errors carry a line for people.
[[nodiscard]] Status validate(const Superblock& superblock, std::uint64_t device_size, bool for_writing);

// Of all copies read (any of them may be damaged): the index of the valid one of the highest generation, or the error
// that says why there is none (not_a_volume when no magic was seen).
[[nodiscard]] Result<std::size_t> choose_superblock(std::span<const Superblock> copies, std::uint64_t device_size,
                                                    bool for_writing);

}  // namespace ashlar::format
