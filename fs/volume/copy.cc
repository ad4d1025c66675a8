// copy_file_range: reading and writing without a way through the kernel. Blocks are not shared.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fs/volume/inode_item.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// One call copies no more, so that whoever waits can be interrupted; callers go on with the rest.
constexpr std::uint64_t kMaxCopy = 16U << 20;

// Makes [offset, offset + length) of the target zeros. Its last byte is written, because the target may end before.
Status copy_hole(Volume& volume, Context& context, InodeNumber target, std::uint64_t offset, std::uint64_t length,
                 bool clear_privileges) {
  constexpr std::array kZero = {std::byte{0}};
  TRY(volume.allocate(context, target, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, clear_privileges));
  const Attributes attributes = TRY(volume.attributes(context, target));
  if (attributes.size >= offset + length) return {};
  return volume.write(context, target, offset + length - 1, kZero, clear_privileges);
}

// Where data begins in the source from `offset` on; the file's end when there is none.
Result<std::uint64_t> next_data(Volume& volume, Context& context, InodeNumber source, std::uint64_t offset,
                                std::uint64_t size) {
  Result<std::uint64_t> data = volume.seek(context, source, offset, SEEK_DATA);
  if (!data && data.error().code() == ErrorCode::no_such_device) return size;
  return data;
}

}  // namespace

Result<std::uint64_t> Volume::copy(Context& context, const CopyRange& range, bool clear_privileges,
                                   std::span<std::byte> buffer) {
  const std::uint64_t size = TRY(attributes(context, range.source))
  .size;
  if (range.target_offset > kMaxFileSize) return fail(ErrorCode::file_too_large);
  std::uint64_t wanted = std::min({range.length, kMaxCopy, kMaxFileSize - range.target_offset});
  if (range.source_offset >= size) return 0;
  wanted = std::min(wanted, size - range.source_offset);
  std::uint64_t done = 0;
  while (done < wanted) {
    const std::uint64_t from = range.source_offset + done;
    const std::uint64_t to = range.target_offset + done;
    const std::uint64_t data = TRY(next_data(*this, context, range.source, from, size));
    const std::uint64_t hole = std::min(data - from, wanted - done);
    Status copied;
    std::uint64_t length = hole;
    if (hole != 0) {
      copied = copy_hole(*this, context, range.target, to, hole, clear_privileges);
    } else {
      const std::size_t most = std::min<std::uint64_t>(wanted - done, kMaxWriteBytes);
      const std::span<const std::byte> part = TRY(read(context, range.source, from, most, buffer));
      if (part.empty()) break;
      length = part.size();
      copied = write(context, range.target, to, part, clear_privileges);
    }
    // What was copied before counts; who goes on meets the error again.
    if (!copied && done == 0) return fail(std::move(copied).error());
    if (!copied) break;
    done += length;
  }
  return done;
}

}  // namespace ashlar::volume
