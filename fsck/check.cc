#include "fsck/check.h"

#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {
namespace {

// What the work is divided into for progress: the tree is by far the largest part.
constexpr double kAfterLog = 0.05;
constexpr double kAfterTree = 0.80;
constexpr double kAfterNames = 0.90;

Status tell_progress(const CheckOptions& options, double part) {
  if (options.progress && !options.progress(part)) return fail(ErrorCode::cancelled, "cancelled");
  return {};
}

}  // namespace

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
  TRY(tell_progress(options, kAfterLog));
  TRY(pass_tree(context));
  TRY(tell_progress(options, kAfterTree));
  if (!context.report.is_fatal()) {
    pass_names(context);
    TRY(tell_progress(options, kAfterNames));
    TRY(pass_bitmaps(context));
  }
  TRY(tell_progress(options, 1.0));
  context.report.block_count = superblock->block_count;
  context.report.blocks_used = superblock->block_count - std::min(superblock->free_blocks.value(), superblock->block_count.value());
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
