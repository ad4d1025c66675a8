#include "fsck/check.h"

#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {
Status CheckContext::tell_progress(double part) const {
  if (options.progress && !options.progress(part)) return fail(ErrorCode::cancelled, "cancelled");
  return {};
}

void CheckContext::heal(std::uint64_t offset, std::span<const std::byte> good) {
  if (!options.heal) return;
  blockio::IoOp write = blockio::IoOp::write_durable(offset, good);
  if (io.run(write)) report.mark_last_repaired();
}

Result<Report> check_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
  Report first;
  const std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, options, first));
  if (!superblock) return first;

  CheckContext context(device, io, options, *superblock);
  context.report = std::move(first);
  TRY(pass_log(context));
  TRY(context.tell_progress(kAfterLog));
  TRY(pass_tree(context));
  TRY(context.tell_progress(kAfterTree));
  if (!context.report.is_fatal()) {
    TRY(pass_names(context));
    TRY(context.tell_progress(kAfterNames));
    TRY(pass_bitmaps(context));
  }
  TRY(context.tell_progress(1.0));
  context.report.block_count = superblock->block_count;
  context.report.blocks_used =
      superblock->block_count - std::min(superblock->free_blocks.value(), superblock->block_count.value());
  return std::move(context.report);
}

Result<bool> is_marked_clean(blockio::BlockDevice& device, blockio::IoQueue& io) {
  Report report;
  const std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, CheckOptions{}, report));
  if (!superblock) return fail(ErrorCode::not_a_volume, report.findings().back().text);
  const std::uint32_t flags = superblock->flags;
  return report.is_clean() && (flags & format::kCleanlyUnmounted) != 0 && (flags & format::kHasErrors) == 0;
}

}  // namespace ashlar::fsck
