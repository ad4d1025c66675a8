#include "fsck/salvaged_items.h"

#include <iterator>
#include <utility>

#include "fs/format/node.h"

namespace ashlar::fsck {

bool SalvageWindow::take(BlockNumber place, std::span<const std::byte> leaf, const LostKeys& lost) {
  bool has_any = false;
  const std::span<const format::LeafItem> items = format::leaf_items(leaf);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const format::Key key = format::key_of(items[i]);
    if (!lost.holds(key)) continue;
    has_any = true;
    if (behind_ && key <= *behind_) continue;
    // What has been left out once stays out: an older leaf may have it, too.
    if (has_more_ && key > std::prev(items_.end())->first) continue;
    items_.try_emplace(key, Place{place, static_cast<std::uint32_t>(i)});
    if (items_.size() <= most_) continue;
    items_.erase(std::prev(items_.end()));
    has_more_ = true;
  }
  return has_any;
}

SalvageCursor::SalvageCursor(blockio::IoQueue& io, const format::Superblock& superblock,
                             std::shared_ptr<const SalvagedItems> items)
    : io_(io),
      superblock_(superblock),
      all_(std::move(items)),
      at_(all_->first.items().begin()),
      end_(all_->first.items().end()) {}

Result<std::span<const std::byte>> SalvageCursor::value() {
  const std::span<const std::byte> node = TRY(leaf_at(at_->second.leaf));
  const std::span<const format::LeafItem> items = format::leaf_items(node);
  if (at_->second.index >= items.size() || format::key_of(items[at_->second.index]) != at_->first)
    return fail(ErrorCode::corrupt_structure, "the device reads differently");
  return format::value_of(node, items[at_->second.index]);
}

Status SalvageCursor::skip() {
  const format::Key key = (at_++)->first;
  const SalvageWindow& window = later_ ? *later_ : all_->first;
  return at_ == end_ && window.has_more() ? read_window(key) : Status{};
}

Status SalvageCursor::read_window(const format::Key& behind) {
  later_.emplace(all_->first.most(), behind);
  for (const BlockNumber place : all_->leaves) static_cast<void>(later_->take(place, TRY(leaf_at(place)), all_->lost));
  at_ = later_->items().begin();
  end_ = later_->items().end();
  return {};
}

Result<std::span<const std::byte>> SalvageCursor::leaf_at(BlockNumber place) {
  for (const Leaf& leaf : leaves_) {
    if (!leaf.bytes.empty() && leaf.place == place) return leaf.bytes.span();
  }
  Leaf& leaf = leaves_[next_];
  next_ = (next_ + 1) % kLeaves;
  blockio::AlignedBuffer bytes(superblock_.node_size);
  if (bytes.empty()) return fail(ErrorCode::out_of_memory);
  blockio::IoOp op = blockio::IoOp::read(place.value() * superblock_.block_size, bytes.span());
  TRY(io_.run(op));
  TRY(format::validate_node(bytes.span(), superblock_.uuid, nullptr));
  if (format::header_of(bytes.span()).level != 0) return fail(ErrorCode::corrupt_structure, "not a leaf any more");
  leaf.bytes = std::move(bytes);
  leaf.place = place;
  return leaf.bytes.span();
}

}  // namespace ashlar::fsck
