#include "fsck/check.h"

#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fs/format/text.h"
#include "fsck/context.h"

namespace ashlar::fsck {

CheckOptions CheckOptions::to_read_only() const {
  CheckOptions quiet;
  quiet.most_records = most_records;
  quiet.most_changes = most_changes;
  quiet.most_salvaged = most_salvaged;
  quiet.progress = progress;
  return quiet;
}

Status CheckContext::tell_progress(double part) const {
  const double told = progress_.from + (progress_.to - progress_.from) * part;
  if (options.progress && !options.progress(progress_.pass, told)) return fail(ErrorCode::cancelled, "cancelled");
  return {};
}

void CheckContext::heal(const Report::Place& finding, std::uint64_t offset, std::span<const std::byte> good) {
  if (!options.heal || options.leave.contains(finding.id)) return;
  blockio::IoOp write = blockio::IoOp::write_durable(offset, good);
  if (io.run(write)) report.mark_repaired(finding);
}

CheckContext CheckContext::to_read_again() const {
  CheckContext again(device, io, options.to_read_only(), superblock);
  again.overlay = overlay;
  again.salvaged = salvaged;
  again.next_inode = next_inode;
  again.progress_ = progress_;
  return again;
}

Result<Report> check_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
  Report first;
  const std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, options, first));
  if (!superblock) return first;

  CheckContext context(device, io, options, *superblock);
  context.report = std::move(first);
  context.report.has_error_mark = (superblock->flags & format::kHasErrors) != 0;
  if (superblock->failure_count != 0) {
    context.report.stop_reason = format::reason_text(superblock->last_failure);
  }
  context.begin_progress({Pass::log});
  TRY(pass_log(context));
  TRY(context.tell_progress(1.0));
  context.begin_progress({Pass::tree});
  TRY(pass_tree(context));
  TRY(context.tell_progress(1.0));
  if (!context.report.is_fatal()) {
    context.begin_progress({Pass::names});
    TRY(pass_names(context));
    if (!context.report.is_fatal()) TRY(pass_paths(context));
    TRY(context.tell_progress(1.0));
    context.begin_progress({Pass::bitmaps});
    TRY(pass_bitmaps(context));
  }
  context.begin_progress({Pass::bitmaps});
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

Result<std::unique_ptr<claim::VolumeClaim>> claim_volume(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                         const claim::ClaimOptions& options) {
  Report report;
  const Result<std::optional<format::Superblock>> found = pass_superblock(device, io, CheckOptions{}, report);
  // Without a superblock nobody has a claim; whether one is searched for, and what it is not to find one, the check
  // says.
  if (!found && found.error().code() != ErrorCode::not_a_volume)
    return fail(found.error().code(), found.error().message());
  if (!found || !*found) return std::unique_ptr<claim::VolumeClaim>();
  const std::optional<format::Superblock>& superblock = *found;
  return claim::VolumeClaim::take(io, *superblock, options);
}

}  // namespace ashlar::fsck
