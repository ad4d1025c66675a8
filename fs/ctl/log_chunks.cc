#include "fs/ctl/log_chunks.h"

#include <algorithm>
#include <vector>

namespace ashlar::ctl {

Result<LogChunksEnd> visit_log_chunks(const VolumeReader& volume, const format::Superblock& superblock,
                                      const std::function<Status(const LogChunk&)>& visit) {
  const auto layout = format::Layout::of(superblock);
  const std::uint64_t block_size = layout.block_size();
  const std::uint64_t area = layout.log().count * block_size;
  const std::uint64_t area_offset = layout.byte_offset(layout.log().first);
  const std::uint64_t first = superblock.log_start;
  std::vector<std::byte> buffer(format::kMaxChunkSize);
  std::uint64_t lsn = first;
  std::uint64_t end = first;  // of the last chunk
  std::uint32_t previous_crc = superblock.log_start_chain;
  // The log never holds more than its area.
  while (lsn - first < area) {
    const std::uint64_t left = area - lsn % area;
    const auto bytes = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size())));
    TRY(volume.read(area_offset + lsn % area, bytes));
    const auto header = format::validate_chunk(bytes, superblock.uuid, superblock.log_epoch, Lsn{lsn}, previous_crc);
    if (!header) {
      if (header.error().code() != ErrorCode::not_found) return LogChunksEnd{Lsn{lsn}, header.error().message()};
      if (lsn % area == 0) break;
      lsn += left;  // a chunk that did not fit before the area's end lies at its start
      continue;
    }
    previous_crc = header->crc;
    TRY(visit(LogChunk{Lsn{lsn}, area_offset + lsn % area, bytes.first(header->length), *header}));
    lsn += (header->length + block_size - 1) / block_size * block_size;
    end = lsn;
  }
  return LogChunksEnd{Lsn{end}, end - first < area ? "no chunk of this log" : "the area is full"};
}

}  // namespace ashlar::ctl
