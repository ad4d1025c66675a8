#include "fs/volume/extent_list.h"

#include <algorithm>
#include <shared_mutex>

#include "fs/volume/extent_window.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// Extent items that are read for one answer, whatever they come to when they are joined.
constexpr std::size_t kItemsPerAnswer = 1024;

bool follows(const FileExtent& left, const FileExtent& right) noexcept {
  return left.logical + left.length == right.logical && left.physical + left.length == right.physical &&
         left.unwritten == right.unwritten && left.without_checksums == right.without_checksums;
}

FileExtent describe(const MappedExtent& extent, std::uint64_t block_size) noexcept {
  FileExtent described;
  described.logical = extent.file_block * block_size;
  described.physical = extent.physical.value() * block_size;
  described.length = extent.count * block_size;
  described.unwritten = extent.unwritten();
  described.without_checksums = !extent.unwritten() && !extent.checksummed();
  return described;
}

Status list_inline(VolumeState& volume, blockio::IoQueue& io, const Inode& inode, ExtentList& list) {
  store::ItemValue value;
  TRY(get_inline_data(volume, io, inode, value));
  list.done = true;
  list.next = value.size();
  if (value.empty()) return {};
  FileExtent whole;
  whole.length = value.size();
  whole.is_inline = true;
  list.extents.push_back(whole);
  return {};
}

}  // namespace

Result<ExtentList> Volume::list_extents(Context& context, InodeNumber number, std::uint64_t position,
                                        std::size_t most) {
  VolumeState& volume = *state_;
  if (most == 0) return fail(ErrorCode::invalid_argument);
  const InodeRef inode = TRY(acquire_regular(volume, context.io, number));
  const std::shared_lock lock(inode->lock);
  ExtentList list;
  list.file_size = inode->item.size;
  list.next = position;
  if (may_be_inline(volume, inode->item)) {
    if (position == 0) TRY(list_inline(volume, context.io, *inode, list));
    list.done = true;
    return list;
  }
  const std::uint64_t from = volume.block_of(position);
  ExtentWindow window(volume, number);
  TRY(window.load(context.io, from, kEndOfFileBlocks, kItemsPerAnswer));
  for (const MappedExtent& extent : window.extents()) {
    if (extent.end() <= from) continue;
    const FileExtent described = describe(extent, volume.block_size);
    if (!list.extents.empty() && follows(list.extents.back(), described)) {
      list.extents.back().length += described.length;
    } else if (list.extents.size() == most) {
      return list;
    } else {
      list.extents.push_back(described);
    }
    list.next = described.logical + described.length;
  }
  list.done = !window.truncated();
  return list;
}

}  // namespace ashlar::volume
