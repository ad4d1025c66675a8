#include "fs/volume/read_around.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "blockio/io_op.h"
#include "fs/format/checksum.h"
#include "fs/volume/extent_window.h"

namespace ashlar::volume {

bool ReadAround::read(store::Store& store, blockio::IoQueue& io, const ExtentWindow& window, std::uint64_t first,
                      std::uint64_t end, std::byte* out) {
  const std::size_t block_size = store.layout().block_size();
  if ((end - first) * block_size > kMaxReadBytes) return false;
  const MappedExtent* const extent = window.find(first);
  if (extent == nullptr || extent->unwritten() || !extent->checksummed() || extent->end() < end) return false;
  const BlockRun run{extent->physical_of(first), end - first};
  if (!store.settle(io, run)) return false;

  PartRef part = find(run, store.data_epoch().now());
  if (part) {
    earn();
  } else {
    if (!places_.note(this, run.first.value(), kPartBytes / block_size) || !can_afford_part()) return false;
    part = load(store, io, run);
    if (!part) return false;
  }
  const std::byte* from = part->buffer.data() + (run.first.value() - part->run.first.value()) * block_size;
  std::memcpy(out, from, run.count * block_size);
  for (std::uint64_t block = first; block < end; ++block, out += block_size) {
    if (format::crc32c({out, block_size}) != window.checksum(*extent, block)) return false;
  }
  return true;
}

bool ReadAround::can_afford_part() noexcept {
  if (credit_.load(std::memory_order_relaxed) >= kPriceOfPart) {
    credit_.fetch_sub(kPriceOfPart, std::memory_order_relaxed);
    return true;
  }
  earn();
  return false;
}

void ReadAround::earn() noexcept {
  if (credit_.load(std::memory_order_relaxed) < kMaxCredit) credit_.fetch_add(1, std::memory_order_relaxed);
}

ReadAround::PartRef ReadAround::find(BlockRun run, std::uint64_t epoch) {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(parts_.begin(), parts_.end(), [&](const PartRef& part) {
    return part && part->epoch == epoch && part->run.first <= run.first && run.end() <= part->run.end();
  });
  return found == parts_.end() ? nullptr : *found;
}

// Parts begin at multiples of their size, so that they do not overlap, unless the run lies across two.
ReadAround::PartRef ReadAround::load(store::Store& store, blockio::IoQueue& io, BlockRun run) {
  const format::Layout& layout = store.layout();
  const std::uint64_t part_blocks = kPartBytes / layout.block_size();
  const std::uint64_t before = run.first.value() % part_blocks;
  const BlockNumber first = before + run.count <= part_blocks ? BlockNumber{run.first.value() - before} : run.first;
  const BlockRun around{first, std::min(part_blocks, layout.block_count() - first.value())};

  PartRef part = take_oldest();
  if (part->buffer.empty()) part->buffer = blockio::AlignedBuffer(kPartBytes);
  if (part->buffer.empty()) return nullptr;
  part->run = around;
  part->epoch = store.data_epoch().now();
  blockio::IoOp read =
      blockio::IoOp::read(layout.byte_offset(first), part->buffer.span().first(around.count * layout.block_size()));
  if (!io.run(read)) return nullptr;
  keep(part);
  return part;
}

// Its memory, unless somebody still reads it.
ReadAround::PartRef ReadAround::take_oldest() {
  PartRef oldest;
  {
    const std::scoped_lock lock(mutex_);
    oldest = std::move(parts_[next_]);
    next_ = (next_ + 1) % kParts;
  }
  return oldest && oldest.use_count() == 1 ? oldest : std::make_shared<Part>();
}

void ReadAround::keep(PartRef part) {
  const std::scoped_lock lock(mutex_);
  const auto empty = std::find(parts_.begin(), parts_.end(), nullptr);
  if (empty != parts_.end()) *empty = std::move(part);
}

}  // namespace ashlar::volume
