// ioctl: inode flags (FS_IOC_GETFLAGS and FSGETXATTR, and their setters), the label, trimming, the emergency
// stop, and what ashlarctl asks for.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fs/fuse/caller.h"
#include "fs/fuse/defragment_control.h"
#include "fs/fuse/extent_control.h"
#include "fs/fuse/ioctl_argument.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"
#include "fs/fuse/resize_control.h"
#include "fs/fuse/scrub_control.h"

namespace ashlar::fuse {
namespace {

// XFS_IOC_GOINGDOWN, which test tools use on any filesystem. How much to write before is in an argument that the kernel
// does not hand on; nothing is what they all survive.
constexpr unsigned kGoingDown = _IOR('X', 125, std::uint32_t);

// The two languages for flags: of chattr(1), and of FSGETXATTR.
constexpr std::array kFlagPairs = {std::pair{FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE},
                                   std::pair{FS_APPEND_FL, FS_XFLAG_APPEND}, std::pair{FS_SYNC_FL, FS_XFLAG_SYNC},
                                   std::pair{FS_NOATIME_FL, FS_XFLAG_NOATIME},
                                   std::pair{FS_NODUMP_FL, FS_XFLAG_NODUMP}};

std::uint32_t to_extended(std::uint32_t flags) noexcept {
  std::uint32_t result = 0;
  for (const auto& [flag, extended] : kFlagPairs) {
    if ((flags & static_cast<std::uint32_t>(flag)) != 0) result |= static_cast<std::uint32_t>(extended);
  }
  return result;
}

// What FSSETXATTR cannot say stays as it is.
Result<std::uint32_t> from_extended(std::uint32_t extended, std::uint32_t old) {
  std::uint32_t result = old;
  for (const auto& [flag, extended_flag] : kFlagPairs) {
    const auto bit = static_cast<std::uint32_t>(flag);
    const auto extended_bit = static_cast<std::uint32_t>(extended_flag);
    result = (extended & extended_bit) != 0 ? result | bit : result & ~bit;
    extended &= ~extended_bit;
  }
  if (extended != 0) return fail(ErrorCode::not_supported);
  return result;
}

Status set_inode_flags(fuse_req_t request, volume::Context& context, InodeNumber inode, std::uint32_t flags) {
  const std::uint32_t old = TRY(volume_of(request).inode_flags(context, inode));
  if ((flags & ~old & (FS_IMMUTABLE_FL | FS_APPEND_FL)) != 0)
    TRY(bring_home(edge_of(request), inode, Crew::Need::must));
  return volume_of(request).set_inode_flags(context, inode, flags);
}

void reply_done(fuse_req_t request, const Status& status) {
  if (!status) return reply_error(request, status.error());
  static_cast<void>(fuse_reply_ioctl(request, 0, nullptr, 0));
}

Result<fsxattr> extended_flags(fuse_req_t request, volume::Context& context, InodeNumber inode) {
  fsxattr result{};
  result.fsx_xflags = to_extended(TRY(volume_of(request).inode_flags(context, inode)));
  return result;
}

Status set_extended_flags(fuse_req_t request, volume::Context& context, InodeNumber inode, const fsxattr& wanted) {
  // Extent size hints and projects are not kept.
  if (wanted.fsx_extsize != 0 || wanted.fsx_cowextsize != 0 || wanted.fsx_projid != 0) {
    return fail(ErrorCode::not_supported);
  }
  const std::uint32_t old = TRY(volume_of(request).inode_flags(context, inode));
  return set_inode_flags(request, context, inode, TRY(from_extended(wanted.fsx_xflags, old)));
}

using Label = std::array<char, FSLABEL_MAX>;

Label label(volume::Volume& volume) {
  const std::string text = volume.store().label();
  Label result{};
  std::copy_n(text.begin(), std::min(text.size(), result.size() - 1), result.begin());
  return result;
}

Status set_label(volume::Volume& volume, volume::Context& context, const Label& label) {
  const std::string_view text(label.data(), strnlen(label.data(), label.size()));
  return volume.store().set_label(context.io, text);
}

// FITRIM; all numbers are bytes.
Result<fstrim_range> trim(volume::Volume& volume, volume::Context& context, fstrim_range range) {
  const format::Layout& layout = volume.store().layout();
  const std::uint64_t block = layout.block_size();
  const std::uint64_t volume_size = layout.block_count() * block;
  if (range.start >= volume_size || range.len < block) return fail(ErrorCode::invalid_argument);
  const std::uint64_t first = (range.start + block - 1) / block;
  const std::uint64_t end = (range.start + std::min(range.len, volume_size - range.start)) / block;
  const std::uint64_t minimum = std::max<std::uint64_t>(1, range.minlen / block + (range.minlen % block != 0 ? 1 : 0));
  range.len = 0;
  if (first < end) {
    range.len = block * TRY(volume.store().trim(context.io, BlockRun{BlockNumber{first}, end - first}, minimum));
  }
  return range;
}

// Changes of the whole volume.
bool is_for_the_privileged(unsigned command) noexcept {
  return command == FS_IOC_SETFSLABEL || command == FITRIM || command == kResizeCommand || command == kGoingDown;
}

void control(fuse_req_t request, fuse_ino_t number, unsigned command, void* /*argument*/, fuse_file_info* /*file*/,
             unsigned /*flags*/, const void* input, std::size_t input_size, std::size_t /*output_size*/) {
  volume::Context context = context_of(request);
  volume::Volume& volume = volume_of(request);
  const InodeNumber inode{number};
  const auto bytes = std::as_bytes(std::span(static_cast<const char*>(input), input_size));
  if (is_for_the_privileged(command) && !has_capability(request, CAP_SYS_ADMIN)) {
    return static_cast<void>(fuse_reply_err(request, EPERM));
  }
  switch (command) {
    case FS_IOC_GETFLAGS: return reply_value(request, volume.inode_flags(context, inode));
    case FS_IOC_SETFLAGS: {
      const auto flags = read_argument<std::uint32_t>(bytes);
      if (!flags) return reply_error(request, flags.error());
      return reply_done(request, set_inode_flags(request, context, inode, *flags));
    }
    case FS_IOC_FSGETXATTR: return reply_value(request, extended_flags(request, context, inode));
    case FS_IOC_FSSETXATTR: {
      const auto wanted = read_argument<fsxattr>(bytes);
      if (!wanted) return reply_error(request, wanted.error());
      return reply_done(request, set_extended_flags(request, context, inode, *wanted));
    }
    case FS_IOC_GETFSLABEL: return reply_value(request, Result<Label>(label(volume)));
    case FS_IOC_SETFSLABEL: {
      const auto wanted = read_argument<Label>(bytes);
      if (!wanted) return reply_error(request, wanted.error());
      return reply_done(request, set_label(volume, context, *wanted));
    }
    case FITRIM: {
      const auto range = read_argument<fstrim_range>(bytes);
      if (!range) return reply_error(request, range.error());
      return reply_value(request, trim(volume, context, *range));
    }
    case kScrubCommand: return answer_scrub(request, inode, bytes);
    case kDefragmentCommand: return answer_defragment(request, inode, bytes);
    case kExtentCommand: return answer_extents(request, inode, bytes);
    case kResizeCommand: return answer_resize(request, inode, bytes);
    case kGoingDown: volume.stop("stopped by XFS_IOC_GOINGDOWN"); return reply_done(request, {});
    default: static_cast<void>(fuse_reply_err(request, ENOTTY));
  }
}

}  // namespace

void add_control_operations(fuse_lowlevel_ops& operations) { operations.ioctl = control; }

}  // namespace ashlar::fuse
