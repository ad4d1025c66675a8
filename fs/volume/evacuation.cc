#include "fs/volume/evacuation.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fs/format/items.h"
#include "fs/volume/block_move.h"
#include "fs/volume/operation.h"

namespace ashlar::volume {
namespace {

// A scan keeps checkpoints waiting, so it ends after so many items or pieces.
constexpr std::size_t kItemsPerScan = 8192;
constexpr std::size_t kPiecesPerScan = 512;
// Moved at once.
constexpr std::size_t kBufferBytes = 256U << 10;
constexpr format::Key kHighestKey{InodeNumber{~0ULL}, format::ItemKind{0xff}, ~0ULL};

// Of a file, in file blocks.
struct Piece {
  InodeNumber inode;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

bool is_before(BlockNumber block, const BlockRun& zone) noexcept { return block < zone.end(); }

class Evacuation {
 public:
  Evacuation(VolumeState& volume, blockio::IoQueue& io, std::span<const BlockRun> zones)
      : volume_(volume), io_(io), zones_(zones), buffer_(kBufferBytes) {}

  Result<std::uint64_t> run();

 private:
  // The next pieces from cursor_ on that lie in the zones.
  [[nodiscard]] Status find_pieces();
  void add_pieces(const format::Key& key, const format::Extent& extent);
  [[nodiscard]] Status move(const Piece& piece);
  [[nodiscard]] Status try_to_move(const Piece& piece);
  [[nodiscard]] bool touches_zones(BlockRun run) const;

  VolumeState& volume_;
  blockio::IoQueue& io_;
  const std::span<const BlockRun> zones_;
  blockio::AlignedBuffer buffer_;
  format::Key cursor_ = format::kLowestKey;
  bool at_end_ = false;
  std::vector<Piece> pieces_;
  std::uint64_t moved_ = 0;
};

Result<std::uint64_t> Evacuation::run() {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  while (!at_end_) {
    TRY(find_pieces());
    for (const Piece& piece : pieces_) TRY(move(piece));
  }
  return moved_;
}

Status Evacuation::find_pieces() {
  pieces_.clear();
  at_end_ = true;
  std::size_t items = 0;
  return volume_.store->scan(io_, cursor_, kHighestKey, [&](const format::Key& key, std::span<const std::byte> value) {
    if (++items > kItemsPerScan || pieces_.size() >= kPiecesPerScan) {
      at_end_ = false;
      cursor_ = key;
      return false;
    }
    if (key.kind != format::ItemKind::extent) return true;
    // A damaged item is whoever's who uses the file: there is nothing to be moved.
    if (const auto extent = format::parse_extent(key, value, volume_.store->layout().block_count())) {
      add_pieces(key, *extent);
    }
    return true;
  });
}

void Evacuation::add_pieces(const format::Key& key, const format::Extent& extent) {
  const BlockRun run{extent.physical, extent.count};
  auto zone = std::partition_point(zones_.begin(), zones_.end(),
                                   [&](const BlockRun& one) { return !is_before(run.first, one); });
  for (; zone != zones_.end() && zone->first < run.end(); ++zone) {
    const BlockNumber first = std::max(run.first, zone->first);
    const BlockNumber end = std::min(run.end(), zone->end());
    pieces_.push_back({key.inode, extent.file_block + (first - run.first), extent.file_block + (end - run.first)});
  }
}

bool Evacuation::touches_zones(BlockRun run) const {
  return std::any_of(zones_.begin(), zones_.end(),
                     [&](const BlockRun& zone) { return zone.first < run.end() && run.first < zone.end(); });
}

// A file that is damaged, or removed meanwhile, is not in the way of the others.
Status Evacuation::move(const Piece& piece) {
  Status moved = try_to_move(piece);
  if (moved) return {};
  switch (moved.error().code()) {
    case ErrorCode::no_space:
    case ErrorCode::out_of_memory:
    case ErrorCode::read_only:
    case ErrorCode::shut_down: return moved;
    default: return {};
  }
}

Status Evacuation::try_to_move(const Piece& piece) {
  const InodeRef inode = TRY(acquire_regular(volume_, io_, piece.inode));
  for (std::uint64_t block = piece.first; block < piece.end;) {
    store::AllocationRequest request;
    request.maximum = std::min<std::uint64_t>(piece.end - block, buffer_.size() / volume_.block_size);
    request.leave_room = false;
    store::Allocation target = TRY(volume_.store->allocate(io_, request));
    if (touches_zones(target.run())) return fail(ErrorCode::no_space, "data has no room elsewhere");
    const std::uint64_t before = target.run().count;
    const std::uint64_t end = std::min(piece.end, block + before);
    block = TRY(move_blocks(volume_, io_, *inode, block, end, target, buffer_.span(), store::CommitKind::replacing));
    moved_ += before - target.run().count;
  }
  return {};
}

}  // namespace

Result<std::uint64_t> evacuate(VolumeState& volume, blockio::IoQueue& io, std::span<const BlockRun> zones) {
  return Evacuation(volume, io, zones).run();
}

}  // namespace ashlar::volume
