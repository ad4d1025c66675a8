#include "fsck/log_search.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "fs/format/layout.h"
#include "fsck/block_scan.h"

namespace ashlar::fsck {
namespace {

// A valid chunk.
struct Chunk {
  std::uint64_t lsn = 0;
  std::uint64_t end = 0;
  std::uint32_t crc = 0;
  std::uint32_t previous_crc = 0;
};

// Whether the log goes on from `before` with `chunk`: right behind it, or at the area's start where it did not fit.
bool follows(const Chunk& before, const Chunk& chunk, std::uint64_t area_bytes) {
  const std::uint64_t lap = (before.end + area_bytes - 1) / area_bytes * area_bytes;
  return chunk.previous_crc == before.crc && (chunk.lsn == before.end || chunk.lsn == lap);
}

}  // namespace

Result<LogPlace> search_log(blockio::IoQueue& io, const format::Superblock& superblock) {
  const format::Layout layout = format::Layout::of(superblock);
  const std::uint64_t block_size = layout.block_size();
  const std::uint64_t area_bytes = layout.log().count * block_size;
  BlockScan blocks(io, layout.block_size(), format::kMaxChunkSize);
  LogPlace place;
  std::vector<Chunk> chunks;  // of the newest epoch
  TRY(blocks.run(layout.log(), [&](BlockNumber block, std::span<const std::byte> bytes) -> Status {
    format::ChunkHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const Lsn lsn{header.lsn};
    if (header.magic != format::kChunkMagic || (block - layout.log().first) * block_size != lsn.value() % area_bytes ||
        !format::validate_chunk(bytes, superblock.uuid, header.epoch, lsn, header.previous_crc)) {
      return {};
    }
    if (header.epoch < place.epoch) return {};
    if (header.epoch > place.epoch) chunks.clear();
    place.epoch = header.epoch;
    const std::uint64_t length = (header.length + block_size - 1) / block_size * block_size;
    chunks.push_back({lsn.value(), lsn.value() + length, header.crc, header.previous_crc});
    return {};
  }));
  if (chunks.empty()) return place;
  std::sort(chunks.begin(), chunks.end(), [](const Chunk& a, const Chunk& b) { return a.lsn < b.lsn; });
  auto first = chunks.end() - 1;
  const std::uint64_t end = first->end;
  // One lap is all that replay takes.
  while (first != chunks.begin() && end - (first - 1)->lsn <= area_bytes && follows(*(first - 1), *first, area_bytes))
    --first;
  place.start = Lsn{first->lsn};
  place.chain = first->previous_crc;
  return place;
}

}  // namespace ashlar::fsck
