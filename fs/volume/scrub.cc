#include "fs/volume/scrub.h"

#include <algorithm>

#include "fs/base/log.h"
#include "fs/format/node.h"
#include "fs/volume/block_reader.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

using Phase = ScrubPosition::Phase;

// One step. A read guard is held for a leaf and its data at a time.
class Scrub {
 public:
  Scrub(VolumeState& volume, blockio::IoQueue& io, std::uint64_t budget, std::span<std::byte> buffer)
      : volume_(volume), io_(io), budget_(std::max<std::uint64_t>(budget, 1)), buffer_(buffer) {}

  Result<ScrubStep> run(const ScrubPosition& from) {
    step_.next = from;
    while (step_.next.phase != Phase::done && !is_full()) {
      TRY(step_.next.phase == Phase::fixed ? check_unit() : check_leaf());
    }
    return std::move(step_);
  }

 private:
  [[nodiscard]] bool is_full() const noexcept {
    return step_.metadata.bytes + step_.data_bytes >= budget_ ||
           step_.metadata.findings.size() + step_.data.size() >= kMaxScrubFindings;
  }

  Status check_unit() {
    ScrubPosition& next = step_.next;
    if (next.unit >= volume_.store->scrub_units()) {
      next = {Phase::tree, 0, format::kLowestKey};
      return {};
    }
    TRY(volume_.store->scrub_unit(io_, next.unit, step_.metadata));
    ++next.unit;
    return {};
  }

  Status check_leaf() {
    const format::Key from = step_.next.key;
    const auto guard = volume_.store->read_guard();
    const store::LeafScrub leaf = TRY(volume_.store->scrub_leaf(io_, from, step_.metadata));
    if (leaf.readable) {
      const std::span<const std::byte> image = leaf.image.span();
      bool advanced = false;  // at least an item a step, whatever the budget
      for (const format::LeafItem& item : format::leaf_items(image)) {
        const format::Key key = format::key_of(item);
        if (key < from) continue;
        if (advanced && is_full()) {
          step_.next.key = key;
          return {};
        }
        advanced = true;
        if (key.kind == format::ItemKind::extent) TRY(check_extent(key, format::value_of(image, item)));
      }
    }
    if (!leaf.next || *leaf.next <= from) {
      step_.next = {Phase::done, 0, format::kLowestKey};
    } else {
      step_.next.key = *leaf.next;
    }
    return {};
  }

  Status check_extent(const format::Key& key, std::span<const std::byte> value) {
    ExtentWindow window(volume_, key.inode);
    if (const Status adopted = window.adopt(key, value); !adopted) {
      add(key.inode, key.offset, 0, adopted.error().code());
      return {};
    }
    const MappedExtent& extent = window.extents().front();
    const std::uint64_t bytes = std::uint64_t{extent.count} * volume_.block_size;
    if (!extent.checksummed()) {
      if (!extent.unwritten()) step_.unchecked_bytes += bytes;
      return {};
    }
    const std::uint64_t stride = buffer_.size() / volume_.block_size;
    for (std::uint64_t first = extent.file_block; first < extent.end(); first += stride) {
      TRY(check_blocks(window, key.inode, first, std::min(extent.end(), first + stride)));
    }
    step_.data_bytes += bytes;
    return {};
  }

  Status check_blocks(const ExtentWindow& window, InodeNumber inode, std::uint64_t first, std::uint64_t end) {
    std::vector<std::uint64_t> bad;
    const Status read = read_file_blocks(volume_, io_, inode, window, first, end, buffer_.data(), &bad);
    if (read) {
      for (const std::uint64_t block : bad) add(inode, block, 1, ErrorCode::bad_checksum);
      return {};
    }
    if (read.error().code() == ErrorCode::out_of_memory) return fail(ErrorCode::out_of_memory);
    // One bad sector fails the whole transfer: block by block then.
    if (end - first == 1) {
      volume_.store->note_data_error();
      add(inode, first, 1, read.error().code());
      return {};
    }
    for (std::uint64_t block = first; block < end; ++block) TRY(check_blocks(window, inode, block, block + 1));
    return {};
  }

  void add(InodeNumber inode, std::uint64_t block, std::uint64_t count, ErrorCode why) {
    const std::uint64_t offset = block * volume_.block_size;
    const std::uint64_t length = count * volume_.block_size;
    if (!step_.data.empty()) {
      DataFinding& last = step_.data.back();
      if (last.inode == inode && last.why == why && last.offset + last.length == offset) {
        last.length += length;
        return;
      }
    }
    log(LogLevel::error, "{}: scrub: inode {}, from offset {}: file data is damaged", volume_.device.name(),
        inode.value(), offset);
    step_.data.push_back({inode, offset, length, why});
  }

  VolumeState& volume_;
  blockio::IoQueue& io_;
  const std::uint64_t budget_;
  const std::span<std::byte> buffer_;
  ScrubStep step_;
};

}  // namespace

Result<ScrubStep> Volume::scrub(Context& context, const ScrubPosition& from, std::uint64_t budget,
                                std::span<std::byte> buffer) {
  if (buffer.size() < state_->block_size) return fail(ErrorCode::invalid_argument, "scrub buffer too small");
  return Scrub(*state_, context.io, budget, buffer).run(from);
}

}  // namespace ashlar::volume
