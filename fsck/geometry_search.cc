#include "fsck/geometry_search.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "fs/format/layout.h"
#include "fs/format/log.h"
#include "fs/format/places.h"
#include "fsck/block_scan.h"

namespace ashlar::fsck {
namespace {

constexpr Generation kAnyGeneration{std::numeric_limits<std::uint64_t>::max()};
constexpr std::uint64_t kBlocksPerProgress = 1024;

struct TableBlock {
  std::uint64_t generation = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
};

// A place where a copy of the table may lie, both slots.
struct TableCopy {
  std::uint64_t first = 0;
  std::uint64_t generation = 0;  // the highest in it
  std::uint32_t blocks = 0;      // of a slot
  std::uint32_t groups = 0;
  std::uint32_t valid = 0;  // blocks of the table that are there
};

// What the group table at mkfs's places says, in any of its slots and copies, for one block size. A volume that was
// there before has its table elsewhere or overwritten.
struct Planned {
  format::Layout layout;
  format::GroupTableHeader newest;
};

Result<std::optional<Planned>> find_planned(blockio::BlockDevice& device, blockio::IoQueue& io,
                                            const format::Layout& layout) {
  blockio::AlignedBuffer block(layout.block_size());
  if (block.empty()) return fail(ErrorCode::out_of_memory);
  std::optional<Planned> found;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      const std::uint64_t offset = layout.byte_offset(layout.group_table_block(0, slot, copy));
      if (offset + block.size() > device.geometry().size) continue;
      blockio::IoOp read = blockio::IoOp::read(offset, block.span());
      if (!io.run(read)) continue;
      format::GroupTableHeader header;
      std::memcpy(&header, block.data(), sizeof header);
      if (!format::validate_group_table_block(block.span(), header.uuid, 0, kAnyGeneration)) continue;
      if (!found || header.generation > found->newest.generation) found = Planned{layout, header};
    }
  }
  return found;
}

bool progress_on(const CheckOptions& options, BlockNumber place, std::uint64_t count) {
  return !options.progress || place.value() % kBlocksPerProgress != 0 ||
         options.progress(Pass::repair, static_cast<double>(place.value()) / static_cast<double>(count));
}

// The newest first block of a table anywhere, of whatever volume and block size.
Result<std::optional<Planned>> find_anywhere(blockio::BlockDevice& device, blockio::IoQueue& io,
                                             const CheckOptions& options) {
  const std::uint32_t unit = std::max(format::kMinBlockSize, device.geometry().logical_sector);
  BlockScan blocks(io, unit, format::kMaxBlockSize);
  if (!blocks.has_memory()) return fail(ErrorCode::out_of_memory);
  const std::uint64_t device_size = device.geometry().size;
  std::optional<Planned> found;
  TRY(blocks.run(
      {BlockNumber{0}, device_size / unit}, [&](BlockNumber place, std::span<const std::byte> bytes) -> Status {
        if (!progress_on(options, place, device_size / unit)) return fail(ErrorCode::cancelled, "cancelled");
        format::GroupTableHeader header;
        std::memcpy(&header, bytes.data(), sizeof header);
        if (header.magic != format::kGroupTableMagic || (found && header.generation <= found->newest.generation))
          return {};
        for (std::uint32_t size = unit; size <= format::kMaxBlockSize && size <= bytes.size(); size *= 2) {
          if (!format::validate_group_table_block(bytes.first(size), header.uuid, 0, kAnyGeneration)) continue;
          const auto layout = format::Layout::plan(device_size, size, std::max(size, format::kMinNodeSize));
          if (layout) found = Planned{*layout, header};
        }
        return {};
      }));
  return found;
}

// Those of one volume, wherever they are.
class TableSearch {
 public:
  TableSearch(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
              const format::Layout& layout, const std::uint8_t (&uuid)[16])
      : device_(device), io_(io), options_(options), layout_(layout) {
    std::memcpy(uuid_, uuid, sizeof uuid_);
  }

  // Both copies of the newest table that is there twice, if there is one.
  [[nodiscard]] Result<std::vector<TableCopy>> run() {
    TRY(scan());
    std::vector<TableCopy> best;
    for (const std::uint32_t blocks : lengths()) {
      const std::vector<TableCopy> pair = newest_pair(copies_of(blocks));
      if (pair.empty()) continue;
      if (best.empty() || rank(pair) > rank(best)) best = pair;
    }
    return best;
  }

 private:
  using Rank = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>;
  static Rank rank(const std::vector<TableCopy>& pair) {
    return {pair[0].generation, pair[0].valid + pair[1].valid, pair[0].blocks};
  }

  [[nodiscard]] Status scan() {
    BlockScan blocks(io_, layout_.block_size(), layout_.block_size());
    if (!blocks.has_memory()) return fail(ErrorCode::out_of_memory);
    const std::uint64_t count = device_.geometry().size / layout_.block_size();
    return blocks.run({BlockNumber{0}, count}, [&](BlockNumber place, std::span<const std::byte> bytes) -> Status {
      if (!progress_on(options_, place, count)) return fail(ErrorCode::cancelled, "cancelled");
      format::GroupTableHeader header;
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.magic != format::kGroupTableMagic) return {};
      const auto block = bytes.first(layout_.block_size());
      if (!format::validate_group_table_block(block, uuid_, header.index, kAnyGeneration)) return {};
      found_[place.value()] = {header.generation, header.index, header.count};
      return {};
    });
  }

  // How many blocks the table may have: the last one tells of fewer groups than the others, unless it is full.
  [[nodiscard]] std::set<std::uint32_t> lengths() const {
    std::set<std::uint32_t> lengths;
    std::uint32_t highest = 0;
    for (const auto& [place, block] : found_) {
      if (block.count < layout_.group_table_entries_per_block()) lengths.insert(block.index + 1);
      highest = std::max(highest, block.index + 1);
    }
    lengths.insert(highest);
    lengths.erase(0);
    return lengths;
  }

  [[nodiscard]] std::vector<TableCopy> copies_of(std::uint32_t blocks) const {
    std::vector<TableCopy> copies;
    for (const auto& [place, block] : found_) {
      if (block.index != 0) continue;
      for (const std::uint64_t before : {std::uint64_t{0}, std::uint64_t{blocks}}) {
        if (place < before) continue;
        if (const auto copy = copy_at(place - before, blocks)) copies.push_back(*copy);
      }
    }
    return copies;
  }

  // nullopt unless each of its blocks is in one of the slots at least.
  [[nodiscard]] std::optional<TableCopy> copy_at(std::uint64_t first, std::uint32_t blocks) const {
    TableCopy copy{first, 0, blocks, 0, 0};
    for (std::uint32_t index = 0; index < blocks; ++index) {
      const TableBlock* newest = nullptr;
      for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
        const auto at = found_.find(first + slot * blocks + index);
        if (at == found_.end() || at->second.index != index) continue;
        ++copy.valid;
        if (newest == nullptr || at->second.generation > newest->generation) newest = &at->second;
      }
      if (newest == nullptr) return std::nullopt;
      const bool is_last = index + 1 == blocks;
      if (!is_last && newest->count != layout_.group_table_entries_per_block()) return std::nullopt;
      copy.generation = std::max(copy.generation, newest->generation);
      copy.groups += newest->count;
    }
    return copy;
  }

  [[nodiscard]] static std::vector<TableCopy> newest_pair(const std::vector<TableCopy>& copies) {
    std::vector<TableCopy> best;
    for (std::size_t a = 0; a < copies.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        const TableCopy& one = copies[b];
        const TableCopy& two = copies[a];
        const std::uint64_t distance = std::max(one.first, two.first) - std::min(one.first, two.first);
        if (one.generation != two.generation || one.groups != two.groups ||
            distance < std::uint64_t{one.blocks} * format::kSuperblockSlots) {
          continue;
        }
        const std::vector<TableCopy> pair{one, two};
        if (best.empty() || rank(pair) > rank(best)) best = pair;
      }
    }
    return best;
  }

  blockio::BlockDevice& device_;
  blockio::IoQueue& io_;
  const CheckOptions& options_;
  const format::Layout& layout_;
  std::uint8_t uuid_[16];
  std::map<std::uint64_t, TableBlock> found_;  // by place
};

// What the chunks of a log say of its length.
struct LogTraces {
  std::uint64_t end = 0;   // bytes from its beginning that it has at least
  std::uint64_t laps = 0;  // a multiple of its length; 0: it never came to its end
};

Result<LogTraces> read_traces(blockio::IoQueue& io, const format::Superblock& superblock, BlockRun area) {
  const std::uint64_t block_size = superblock.block_size;
  BlockScan blocks(io, superblock.block_size, format::kMaxChunkSize);
  if (!blocks.has_memory()) return fail(ErrorCode::out_of_memory);
  LogTraces traces;
  TRY(blocks.run(area, [&](BlockNumber block, std::span<const std::byte> bytes) -> Status {
    format::ChunkHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const Lsn lsn{header.lsn};
    const std::uint64_t at = (block - area.first) * block_size;
    if (header.magic != format::kChunkMagic || lsn.value() < at ||
        !format::validate_chunk(bytes, superblock.uuid, header.epoch, lsn, header.previous_crc)) {
      return {};
    }
    traces.laps = std::gcd(traces.laps, lsn.value() - at);
    traces.end = std::max(traces.end, at + (header.length + block_size - 1) / block_size * block_size);
    return {};
  }));
  return traces;
}

std::uint64_t log_length(const LogTraces& traces, std::uint64_t most_bytes, std::uint64_t block_size) {
  const std::uint64_t least = std::max(traces.end, format::kMinLogBytes);
  if (traces.laps == 0) return least;
  for (std::uint64_t parts = 1; traces.laps / parts >= least; ++parts) {
    const std::uint64_t bytes = traces.laps / parts;
    if (traces.laps % parts == 0 && bytes % block_size == 0 && bytes <= most_bytes) return bytes;
  }
  return least;
}

Status find_log(blockio::IoQueue& io, format::Superblock& superblock) {
  const format::Layout layout = format::Layout::of(superblock);
  const std::uint64_t block_size = layout.block_size();
  BlockNumber first{(format::kSecondHead + format::kHeadBytes) / block_size};
  const std::uint32_t group = layout.group_of(first);
  first = std::max(first, layout.bitmap_block(group, 0, 0) + format::kBitmapBlocks);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    const BlockRun table = layout.group_table_run(copy);
    if (first >= table.first && first < table.end()) first = table.end();
  }
  const std::uint64_t group_end = layout.group_first(group).value() + layout.blocks_in_group(group);
  const std::uint64_t most_bytes =
      std::min(format::kMaxPlannedLogBytes, std::uint64_t{layout.group_blocks()} * block_size / 2);
  const std::uint64_t most = std::min(most_bytes / block_size, group_end - std::min(group_end, first.value()));
  const LogTraces traces = TRY(read_traces(io, superblock, {first, most}));
  superblock.log_first = first.value();
  superblock.log_blocks = log_length(traces, most * block_size, block_size) / block_size;
  return {};
}

void describe(const format::Layout& layout, format::Superblock& superblock) {
  superblock.block_size = layout.block_size();
  superblock.node_size = layout.node_size();
  superblock.block_count = layout.block_count();
  for (std::size_t copy = 0; copy < format::kCopies; ++copy)
    superblock.group_table_first[copy] = layout.group_table_first(copy).value();
  superblock.group_table_blocks = layout.group_table_blocks();
  superblock.log_first = layout.log().first.value();
  superblock.log_blocks = layout.log().count;
}

// The volume whose table is these two copies; nullopt when there can be none on this device.
Result<std::optional<format::Superblock>> describe_found(blockio::IoQueue& io, const format::Layout& planned,
                                                         const std::vector<TableCopy>& copies,
                                                         std::uint64_t device_size, format::Superblock superblock) {
  describe(planned, superblock);
  const std::uint64_t group_blocks = planned.group_blocks();
  superblock.block_count = std::min(device_size / planned.block_size(), std::uint64_t{copies[0].groups} * group_blocks);
  superblock.group_table_blocks = copies[0].blocks;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) superblock.group_table_first[copy] = copies[copy].first;
  superblock.generation = copies[0].generation;
  if (superblock.block_count < format::kMinVolumeBytes / planned.block_size() ||
      format::Layout::of(superblock).group_count() != copies[0].groups) {
    return std::nullopt;
  }
  TRY(find_log(io, superblock));
  if (!format::Layout::of(superblock).check()) return std::nullopt;
  return superblock;
}

}  // namespace

Result<format::Superblock> search_geometry(blockio::BlockDevice& device, blockio::IoQueue& io,
                                           const CheckOptions& options) {
  std::optional<Planned> planned;
  const std::uint64_t device_size = device.geometry().size;
  for (std::uint32_t size = format::kMinBlockSize; size <= format::kMaxBlockSize; size *= 2) {
    if (size % device.geometry().logical_sector != 0) continue;
    const auto layout = format::Layout::plan(device_size, size, std::max(size, format::kMinNodeSize));
    if (!layout) continue;
    const std::optional<Planned> found = TRY(find_planned(device, io, *layout));
    if (found && (!planned || found->newest.generation > planned->newest.generation)) planned = found;
  }
  if (!planned) planned = TRY(find_anywhere(device, io, options));
  if (!planned) return fail(ErrorCode::not_a_volume, "neither a superblock nor a group table is left of a volume");
  format::Superblock superblock{};
  std::memcpy(superblock.uuid, planned->newest.uuid, sizeof superblock.uuid);
  const std::vector<TableCopy> copies = TRY(TableSearch(device, io, options, planned->layout, superblock.uuid).run());
  if (!copies.empty()) {
    const auto found = TRY(describe_found(io, planned->layout, copies, device_size, superblock));
    if (found) return *found;
  }
  describe(planned->layout, superblock);
  superblock.generation = planned->newest.generation;
  return superblock;
}

}  // namespace ashlar::fsck
