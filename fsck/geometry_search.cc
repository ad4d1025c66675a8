#include "fsck/geometry_search.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

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

// A group table, of which one copy at least is there.
struct FoundTable {
  std::array<std::uint64_t, format::kCopies> first{};  // 0: nothing is left of that copy
  std::uint32_t blocks = 0;                            // of a slot
  std::uint32_t groups = 0;
  std::uint64_t generation = 0;  // the highest in it
  std::uint64_t valid = 0;       // blocks of it that are there
  std::uint64_t alike = 0;       // that are the same in both copies
  bool as_planned = false;       // both copies are where mkfs puts them
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

  // The newest; of those the one that is there with the most blocks.
  [[nodiscard]] Result<std::optional<FoundTable>> run() {
    TRY(scan());
    std::optional<FoundTable> best;
    for (const std::uint32_t blocks : lengths()) {
      const std::vector<std::uint64_t> places = likely_places(blocks);
      for (std::size_t i = 0; i < places.size(); ++i) {
        consider({places[i], 0}, blocks, best);
        for (std::size_t j = 0; j < i; ++j) {
          consider({std::min(places[i], places[j]), std::max(places[i], places[j])}, blocks, best);
        }
      }
    }
    return best;
  }

 private:
  // Bounds on what hostile blocks can make of this. A volume has fewer lengths than it has grown, and of each the two
  // places, and those that are off by a slot.
  static constexpr std::size_t kMostFound = 1U << 20;
  static constexpr std::size_t kMostLengths = 16;
  static constexpr std::size_t kMostPlaces = 8;

  [[nodiscard]] Status scan() {
    BlockScan blocks(io_, layout_.block_size(), layout_.block_size());
    if (!blocks.has_memory()) return fail(ErrorCode::out_of_memory);
    const std::uint64_t count = device_.geometry().size / layout_.block_size();
    return blocks.run({BlockNumber{0}, count}, [&](BlockNumber place, std::span<const std::byte> bytes) -> Status {
      if (!progress_on(options_, place, count)) return fail(ErrorCode::cancelled, "cancelled");
      format::GroupTableHeader header;
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.magic != format::kGroupTableMagic || found_.size() == kMostFound) return {};
      const auto block = bytes.first(layout_.block_size());
      if (!format::validate_group_table_block(block, uuid_, header.index, kAnyGeneration)) return {};
      found_[place.value()] = {header.generation, header.index, header.count};
      return {};
    });
  }

  [[nodiscard]] bool is_full(const TableBlock& block) const {
    return block.count == layout_.group_table_entries_per_block();
  }

  // How many blocks the table may have: the last one tells of fewer groups than the others, unless it is full. The
  // newest first.
  [[nodiscard]] std::vector<std::uint32_t> lengths() const {
    std::map<std::uint32_t, std::uint64_t> generations;
    TableBlock highest;
    for (const auto& [place, block] : found_) {
      if (block.index >= highest.index) highest = block;
      if (!is_full(block)) note_newest(generations[block.index], block);
    }
    if (!found_.empty()) note_newest(generations[highest.index], highest);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> newest;
    for (const auto& [index, generation] : generations) {
      if (index < found_.size()) newest.emplace_back(generation, index + 1);
    }
    std::sort(newest.begin(), newest.end(), std::greater<>());
    std::vector<std::uint32_t> lengths;
    for (std::size_t i = 0; i < std::min(newest.size(), kMostLengths); ++i) lengths.push_back(newest[i].second);
    return lengths;
  }
  static void note_newest(std::uint64_t& generation, const TableBlock& block) {
    generation = std::max(generation, block.generation);
  }

  // Where a copy of so many blocks may begin, by the places of its blocks: those that most speak for.
  [[nodiscard]] std::vector<std::uint64_t> likely_places(std::uint32_t blocks) const {
    std::map<std::uint64_t, std::uint64_t> votes;
    for (const auto& [place, block] : found_) {
      const bool is_last = block.index + 1 == blocks;
      if (block.index >= blocks || (!is_last && !is_full(block))) continue;
      for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
        const std::uint64_t before = slot * blocks + block.index;
        if (place > before) ++votes[place - before];
      }
    }
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranked;
    for (const auto& [first, count] : votes) ranked.emplace_back(count, first);
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::uint64_t> places;
    for (std::size_t i = 0; i < std::min(ranked.size(), kMostPlaces); ++i) places.push_back(ranked[i].second);
    return places;
  }

  using Places = std::array<std::uint64_t, format::kCopies>;
  void consider(const Places& places, std::uint32_t blocks, std::optional<FoundTable>& best) const {
    const std::optional<FoundTable> table = table_at(places, blocks);
    const auto rank = [](const FoundTable& of) {
      return std::tuple(of.generation, of.valid, of.alike, of.as_planned, of.blocks);
    };
    if (table && (!best || rank(*table) > rank(*best))) best = table;
  }

  // nullopt unless each of its blocks is there in one of the slots and copies at least, and the copies, which are
  // written together, agree where they have something.
  [[nodiscard]] std::optional<FoundTable> table_at(const Places& places, std::uint32_t blocks) const {
    const bool has_two = places[1] != 0;
    if (has_two && places[1] - places[0] < std::uint64_t{blocks} * format::kSuperblockSlots) return std::nullopt;
    FoundTable table;
    table.first = places;
    table.blocks = blocks;
    table.as_planned =
        places[0] == layout_.group_table_first(0).value() && places[1] == layout_.group_table_first(1).value();
    for (std::uint32_t index = 0; index < blocks; ++index) {
      const TableBlock* newest = nullptr;
      for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
        const TableBlock* const one = block_at(places[0], slot * blocks + index, index);
        const TableBlock* const two = block_at(places[1], slot * blocks + index, index);
        if (one != nullptr && two != nullptr) {
          if (one->generation != two->generation || one->count != two->count) return std::nullopt;
          ++table.alike;
        }
        for (const TableBlock* const block : {one, two}) {
          if (block == nullptr) continue;
          ++table.valid;
          if (newest == nullptr || block->generation > newest->generation) newest = block;
        }
      }
      if (newest == nullptr || (index + 1 != blocks && !is_full(*newest))) return std::nullopt;
      table.generation = std::max(table.generation, newest->generation);
      table.groups += newest->count;
    }
    // Two that have nothing in common are halves of something else.
    if (has_two && table.alike == 0) return std::nullopt;
    return table;
  }

  // The valid block of that index so far behind `first`; null when there is none.
  [[nodiscard]] const TableBlock* block_at(std::uint64_t first, std::uint64_t behind, std::uint32_t index) const {
    if (first == 0) return nullptr;
    const auto at = found_.find(first + behind);
    return at == found_.end() || at->second.index != index ? nullptr : &at->second;
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
  // By lengths, of which there are few, and not by parts: a hostile log may say that it has come round any number of
  // times.
  for (std::uint64_t bytes = most_bytes / block_size * block_size; bytes >= least; bytes -= block_size) {
    if (traces.laps % bytes == 0) return bytes;
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

// The volume whose table is this; nullopt when there can be none on this device.
Result<std::optional<format::Superblock>> describe_found(blockio::IoQueue& io, const format::Layout& planned,
                                                         const FoundTable& table, std::uint64_t device_size,
                                                         format::Superblock superblock) {
  planned.describe_in(superblock);
  const std::uint64_t group_blocks = planned.group_blocks();
  superblock.block_count = std::min(device_size / planned.block_size(), std::uint64_t{table.groups} * group_blocks);
  superblock.group_table_blocks = table.blocks;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) superblock.group_table_first[copy] = table.first[copy];
  superblock.generation = table.generation;
  if (superblock.block_count < format::kMinVolumeBytes / planned.block_size() ||
      format::Layout::of(superblock).group_count() != table.groups) {
    return std::nullopt;
  }
  TRY(find_log(io, superblock));
  const bool is_whole = table.first[1] != 0;  // else its other copy is still to get a place
  if (is_whole && !format::Layout::of(superblock).check()) return std::nullopt;
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
  const std::optional<FoundTable> table = TRY(TableSearch(device, io, options, planned->layout, superblock.uuid).run());
  if (table) {
    const auto found = TRY(describe_found(io, planned->layout, *table, device_size, superblock));
    if (found) return *found;
  }
  planned->layout.describe_in(superblock);
  superblock.generation = planned->newest.generation;
  return superblock;
}

}  // namespace ashlar::fsck
