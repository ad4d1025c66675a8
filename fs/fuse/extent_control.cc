#include "fs/fuse/extent_control.h"

#include "fs/fuse/caller.h"
#include "fs/fuse/ioctl_argument.h"

namespace ashlar::fuse {
namespace {

ExtentEntry entry_of(const volume::FileExtent& extent) noexcept {
  ExtentEntry entry{extent.logical, extent.physical, extent.length, 0, 0};
  if (extent.is_inline) entry.flags |= kExtentInline;
  if (extent.unwritten) entry.flags |= kExtentUnwritten;
  if (extent.without_checksums) entry.flags |= kExtentUnverified;
  return entry;
}

Status list_extents(fuse_req_t request, InodeNumber inode, ExtentExchange& exchange) {
  volume::Context context = context_of(request);
  volume::Volume& volume = volume_of(request);
  if (exchange.version != kExtentVersion) return fail(ErrorCode::not_supported);
  const volume::Attributes attributes = TRY(volume.attributes(context, inode));
  TRY(require_owner(request, attributes.uid));
  const volume::ExtentList list = TRY(volume.list_extents(context, inode, exchange.position, kExtentsPerExchange));
  exchange = {};
  exchange.version = kExtentVersion;
  exchange.flags = list.done ? kExtentDone : 0;
  exchange.position = list.next;
  exchange.file_size = list.file_size;
  exchange.block_size = volume.store().layout().block_size();
  for (const volume::FileExtent& extent : list.extents) exchange.entries[exchange.count++] = entry_of(extent);
  return {};
}

}  // namespace

void answer_extents(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input) {
  answer_exchange<ExtentExchange>(request, input,
                                  [&](ExtentExchange& exchange) { return list_extents(request, inode, exchange); });
}

}  // namespace ashlar::fuse
