// copy_file_range: reading and writing without a way through the kernel. Blocks are not shared.
#include <algorithm>

#include "fs/volume/inode_item.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// One call copies no more, so that whoever waits can be interrupted; callers go on with the rest.
constexpr std::uint64_t kMaxCopy = 16U << 20;

// Where data begins in the source from `offset` on; the file's end when there is none.
Result<std::uint64_t> next_data(Volume& volume, Context& context, InodeNumber source, std::uint64_t offset,
                                std::uint64_t size) {
  Result<std::uint64_t> data = volume.seek(context, source, offset, SEEK_DATA);
  if (!data && data.error().code() == ErrorCode::no_such_device) return size;
  return data;
}

// One copy, from its first byte on.
class RangeCopy {
 public:
  RangeCopy(Volume& volume, Context& context, const Volume::CopyRange& range, bool clear_privileges,
            std::span<std::byte> buffer, std::uint64_t source_size)
      : volume_(volume),
        context_(context),
        range_(range),
        clear_privileges_(clear_privileges),
        buffer_(buffer),
        source_size_(source_size) {}

  // Copies a hole or as much data as fits the buffer, at most `limit` bytes, from `done` bytes after the beginning of
  // the range; returns how much it was: 0 when the source has become shorter.
  Result<std::uint64_t> copy_some(std::uint64_t done, std::uint64_t limit);

 private:
  Volume& volume_;
  Context& context_;
  const Volume::CopyRange& range_;
  const bool clear_privileges_;
  const std::span<std::byte> buffer_;
  const std::uint64_t source_size_;
};

Result<std::uint64_t> RangeCopy::copy_some(std::uint64_t done, std::uint64_t limit) {
  const std::uint64_t from = range_.source_offset + done;
  const std::uint64_t to = range_.target_offset + done;
  const std::uint64_t data = TRY(next_data(volume_, context_, range_.source, from, source_size_));
  if (const std::uint64_t hole = std::min(data - from, limit); hole != 0) {
    TRY(volume_.make_hole(context_, range_.target, to, hole, clear_privileges_));
    return hole;
  }
  const std::size_t most = std::min<std::uint64_t>(limit, kMaxWriteBytes);
  const std::span<const std::byte> part = TRY(volume_.read(context_, range_.source, from, most, buffer_));
  TRY(volume_.write(context_, range_.target, to, part, clear_privileges_));
  return part.size();
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
  RangeCopy work(*this, context, range, clear_privileges, buffer, size);
  std::uint64_t done = 0;
  while (done < wanted) {
    Result<std::uint64_t> copied = work.copy_some(done, wanted - done);
    // What was copied before counts; who goes on meets the error again.
    if (!copied && done == 0) return copied;
    if (!copied || *copied == 0) break;
    done += *copied;
  }
  return done;
}

}  // namespace ashlar::volume
