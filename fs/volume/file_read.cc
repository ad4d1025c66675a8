// Reading file contents, and finding where data and holes are.
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <shared_mutex>

#include "fs/volume/block_reader.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// Extents looked at in one go by seek.
constexpr std::size_t kExtentsPerSeekStep = 256;

Result<std::span<const std::byte>> read_inline(VolumeState& volume, blockio::IoQueue& io, const Inode& inode,
                                               std::uint64_t offset, std::size_t length, std::span<std::byte> buffer) {
  store::ItemValue value;
  TRY(get_inline_data(volume, io, inode, value));
  std::byte* const out = buffer.data();
  std::memset(out, 0, length);
  if (offset < value.size()) {
    std::memcpy(out, value.data() + offset,
                std::min<std::size_t>(length, value.size() - static_cast<std::size_t>(offset)));
  }
  return std::span<const std::byte>(out, length);
}

// Where data begins (`data`) or a hole begins, from `offset` on, in a file with extents; its size when nowhere before
// that.
Result<std::uint64_t> seek_extents(VolumeState& volume, blockio::IoQueue& io, const Inode& inode, std::uint64_t offset,
                                   bool data) {
  const std::uint64_t size = inode.item.size;
  const std::uint64_t end = volume.block_after(size);
  std::uint64_t block = volume.block_of(offset);
  while (block < end) {
    ExtentWindow window(volume, inode.number());
    TRY(window.load(io, block, end, kExtentsPerSeekStep));
    for (const MappedExtent& extent : window.extents()) {
      if (extent.end() <= block || extent.unwritten()) continue;
      if (data) return std::min(size, std::max(offset, extent.file_block * volume.block_size));
      if (extent.file_block > block) break;
      block = extent.end();
    }
    if (!data && !(window.truncated() && block >= window.loaded_end())) {
      return std::min(size, std::max(offset, block * volume.block_size));
    }
    if (!window.truncated()) break;
    block = std::max(block, window.loaded_end());
  }
  return size;
}

}  // namespace

Result<std::span<const std::byte>> Volume::read(Context& context, InodeNumber number, std::uint64_t offset,
                                                std::size_t length, std::span<std::byte> buffer) {
  VolumeState& volume = *state_;
  const InodeRef inode = TRY(acquire_regular(volume, context.io, number));
  std::shared_lock lock(inode->lock);
  const std::uint64_t size = inode->item.size;
  if (offset >= size || length == 0) return std::span<const std::byte>();
  length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size - offset));
  if (may_be_inline(volume, inode->item)) {
    if (buffer.size() < length) return fail(ErrorCode::invalid_argument, "read buffer too small");
    return read_inline(volume, context.io, *inode, offset, length, buffer);
  }
  const std::uint64_t first = volume.block_of(offset);
  const std::uint64_t end = volume.block_after(offset + length);
  if ((end - first) * volume.block_size > buffer.size()) {
    return fail(ErrorCode::invalid_argument, "read buffer too small");
  }
  // Entered with the lock, so that no wait for the lock happens inside; with the guard the lock is not needed for
  // reading: whatever is freed from now on stays as it is.
  const auto guard = volume.store->read_guard();
  ExtentWindow window(volume, number);
  TRY(window.load(context.io, first, end - 1));
  lock.unlock();
  if (!volume.read_around.read(*volume.store, context.io, window, first, end, buffer.data())) {
    TRY(read_file_blocks(volume, context.io, number, window, first, end, buffer.data()));
  }
  return std::span<const std::byte>(buffer.data() + (offset - first * volume.block_size), length);
}

Result<std::uint64_t> Volume::seek(Context& context, InodeNumber number, std::uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return fail(ErrorCode::invalid_argument);
  VolumeState& volume = *state_;
  const InodeRef inode = TRY(acquire_regular(volume, context.io, number));
  const std::shared_lock lock(inode->lock);
  const std::uint64_t size = inode->item.size;
  const bool data = whence == SEEK_DATA;
  if (offset >= size) return fail(ErrorCode::no_such_device);
  std::uint64_t found = 0;
  if (may_be_inline(volume, inode->item)) {
    store::ItemValue value;
    TRY(get_inline_data(volume, context.io, *inode, value));
    found = value.empty() == data ? size : offset;
  } else {
    found = TRY(seek_extents(volume, context.io, *inode, offset, data));
  }
  if (data && found == size) return fail(ErrorCode::no_such_device);
  return found;
}

}  // namespace ashlar::volume
