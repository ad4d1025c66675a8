// Superblocks: all four copies, the newest chosen, its two copies compared.
#include <array>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {
namespace {

constexpr std::size_t kCount = format::kSuperblockSlots * format::kCopies;

struct Copies {
  std::vector<format::Superblock> all = std::vector<format::Superblock>(kCount);
  std::array<bool, kCount> readable{};
};

Result<Copies> read_copies(blockio::IoQueue& io) {
  blockio::AlignedBuffer buffer(format::kSuperblockSize);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  Copies copies;
  bool any = false;
  for (std::size_t i = 0; i < kCount; ++i) {
    blockio::IoOp read =
        blockio::IoOp::read(format::superblock_offset(i / format::kCopies, i % format::kCopies), buffer.span());
    copies.readable[i] = io.run(read).has_value();
    if (copies.readable[i]) std::memcpy(&copies.all[i], buffer.data(), format::kSuperblockSize);
    any = any || copies.readable[i];
  }
  if (!any) return fail(ErrorCode::io_error, "no superblock can be read");
  return copies;
}

// mkfs leaves zeros in the slot that it does not use.
bool is_lost(const Copies& copies, std::size_t slot, std::uint64_t device_size) {
  const format::Superblock zeros{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const std::size_t index = slot * format::kCopies + copy;
    if (!copies.readable[index]) continue;
    const format::Superblock& superblock = copies.all[index];
    if (std::memcmp(&superblock, &zeros, sizeof zeros) == 0 || format::validate(superblock, device_size, false))
      return false;
  }
  return true;
}

Status write_copy(blockio::IoQueue& io, std::size_t index, const format::Superblock& superblock) {
  blockio::AlignedBuffer buffer(format::kSuperblockSize);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  std::memcpy(buffer.data(), &superblock, format::kSuperblockSize);
  blockio::IoOp write = blockio::IoOp::write_durable(
      format::superblock_offset(index / format::kCopies, index % format::kCopies), buffer.span());
  return io.run(write);
}

}  // namespace

Result<std::optional<format::Superblock>> pass_superblock(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                          const CheckOptions& options, Report& report) {
  if (device.geometry().size < format::kMinVolumeBytes) {
    return fail(ErrorCode::not_a_volume, "too small to hold a volume: truncated, or not an AshlarFS volume");
  }
  const Copies copies = TRY(read_copies(io));
  Result<std::size_t> chosen = format::choose_superblock(copies.all, device.geometry().size, options.heal);
  if (!chosen) {
    // Nothing of ours, or of a later program: not for this one to judge. And what a device that was cut short does not
    // have may be whole elsewhere: a repair would give it up.
    const ErrorCode code = chosen.error().code();
    const bool is_other = code == ErrorCode::not_a_volume || code == ErrorCode::device_too_small;
    if ((is_other && !options.search) || code == ErrorCode::unsupported_format) return fail(std::move(chosen).error());
    report.add(FindingId::no_superblock, chosen.error().message());
    return std::nullopt;
  }
  const format::Superblock& newest = copies.all[*chosen];
  const std::size_t slot = *chosen / format::kCopies;
  const std::size_t other = slot * format::kCopies + (1 - *chosen % format::kCopies);
  if (std::memcmp(&copies.all[other], &newest, sizeof newest) != 0) {
    const bool valid =
        copies.readable[other] && format::validate(copies.all[other], device.geometry().size, false).has_value();
    const FindingId id = valid ? FindingId::superblock_copies_differ : FindingId::superblock_copy_bad;
    report.add(id, slot, other % format::kCopies);
    const bool heals = options.heal && !options.leave.contains(id);
    if (heals && write_copy(io, other, newest)) report.mark_repaired(report.last());
  }
  if (is_lost(copies, 1 - slot, device.geometry().size)) report.add(FindingId::superblock_slot_lost, 1 - slot);
  return newest;
}

Status clear_error_mark(blockio::BlockDevice& device, blockio::IoQueue& io) {
  Report known;
  std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, CheckOptions{}, known));
  if (!superblock || (superblock->flags & format::kHasErrors) == 0) return {};
  format::clear_failures(*superblock);
  format::seal(*superblock);
  const std::size_t slot = superblock->generation % format::kSuperblockSlots;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    TRY(write_copy(io, slot * format::kCopies + copy, *superblock));
  }
  return {};
}

}  // namespace ashlar::fsck
