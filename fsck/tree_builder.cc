#include "fsck/tree_builder.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ashlar::fsck {
namespace {

// Nodes are filled to this part, so that the first changes after the repair do not split every one.
constexpr std::size_t kFillNumerator = 7;
constexpr std::size_t kFillDenominator = 8;

}  // namespace

TreeBuilder::TreeBuilder(CheckContext& context, Generation generation, BlockMap& kept, const BlockMap& avoid)
    : context_(context),
      generation_(generation),
      kept_(kept),
      avoid_(avoid),
      node_size_(context.layout.node_size()),
      node_(node_size_) {
  next_place_[1] = context.layout.block_count() / 2;
  begin_node(0);
}

format::NodeHeader& TreeBuilder::header() { return *reinterpret_cast<format::NodeHeader*>(node_.data()); }

void TreeBuilder::begin_node(std::uint8_t level) {
  if (node_.empty()) return;
  std::memset(node_.data(), 0, node_size_);
  format::NodeHeader& head = header();
  head.magic = format::kNodeMagic;
  std::memcpy(head.uuid, context_.superblock.uuid, sizeof head.uuid);
  head.generation = generation_.value();
  head.level = level;
  head.values_start = level == 0 ? static_cast<std::uint32_t>(node_size_) : 0;
}

Status TreeBuilder::add(const format::Key& key, std::span<const std::byte> value) {
  if (node_.empty()) return fail(ErrorCode::out_of_memory);
  const std::size_t room = (node_size_ - sizeof(format::NodeHeader)) * kFillNumerator / kFillDenominator;
  const std::size_t used = header().count * sizeof(format::LeafItem) + node_size_ - header().values_start;
  if (header().count != 0 && used + sizeof(format::LeafItem) + value.size() > room) TRY(finish_leaf());
  format::NodeHeader& head = header();
  if (head.count == 0) lowest_ = key;
  head.values_start = head.values_start - static_cast<std::uint32_t>(value.size());
  if (!value.empty()) std::memcpy(node_.data() + head.values_start, value.data(), value.size());
  format::LeafItem item{};
  item.inode = key.inode.value();
  item.offset = key.offset;
  item.kind = static_cast<std::uint8_t>(key.kind);
  // Of an empty value the offset tells nothing; that of a full node of 64 KiB would not fit.
  item.value_offset = value.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(head.values_start);
  item.value_size = static_cast<std::uint16_t>(value.size());
  std::memcpy(node_.data() + sizeof head + head.count * sizeof item, &item, sizeof item);
  head.count = static_cast<std::uint16_t>(head.count + 1);
  ++item_counts_[item.kind];
  return {};
}

Status TreeBuilder::finish_leaf() {
  const Child leaf { lowest_, TRY(write_node()) };
  TRY(add_child(0, leaf));
  begin_node(0);
  return {};
}

Result<format::NodePointer> TreeBuilder::finish() {
  TRY(finish_leaf());
  for (std::size_t level = 0;; ++level) {
    const bool is_root = level + 1 == levels_.size() && levels_[level].children.size() == 1;
    if (is_root) return levels_[level].children.front().pointer;
    if (!levels_[level].children.empty()) TRY(finish_internal(level));
  }
}

Status TreeBuilder::add_child(std::size_t level, const Child& child) {
  const std::size_t most =
      format::max_internal_entries(static_cast<std::uint32_t>(node_size_)) * kFillNumerator / kFillDenominator;
  if (level == levels_.size()) levels_.emplace_back();
  // Not before there is another: one that is alone is the root.
  if (levels_[level].children.size() == most) TRY(finish_internal(level));
  levels_[level].children.push_back(child);
  return {};
}

Status TreeBuilder::finish_internal(std::size_t level) {
  const std::vector<Child> children = std::exchange(levels_[level].children, {});
  const bool is_first = std::exchange(levels_[level].is_first, false);
  begin_node(static_cast<std::uint8_t>(level + 1));
  for (std::size_t i = 0; i < children.size(); ++i) {
    const Child& child = children[i];
    // What is put below the lowest key later belongs into the first node.
    const format::Key key = is_first && i == 0 ? format::kLowestKey : child.lowest;
    format::InternalEntry entry{};
    entry.inode = key.inode.value();
    entry.offset = key.offset;
    entry.kind = static_cast<std::uint8_t>(key.kind);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      entry.address[copy] = child.pointer.address[copy].value();
    entry.generation = child.pointer.generation.value();
    entry.crc = child.pointer.crc;
    std::memcpy(node_.data() + sizeof(format::NodeHeader) + i * sizeof entry, &entry, sizeof entry);
  }
  header().count = static_cast<std::uint16_t>(children.size());
  return add_child(level + 1, { children.front().lowest, TRY(write_node()) });
}

Result<format::NodePointer> TreeBuilder::write_node() {
  format::NodePointer pointer;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    pointer.address[copy] = TRY(take_place(copy));
    header().address[copy] = pointer.address[copy].value();
  }
  format::seal_node(node_.span());
  pointer.generation = generation_;
  pointer.crc = header().crc;
  pointer.level = header().level;
  std::array<blockio::IoOp, format::kCopies> writes;
  std::array<blockio::IoOp*, format::kCopies> pointers{};
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    writes[copy] = blockio::IoOp::write(context_.layout.byte_offset(pointer.address[copy]), node_.span());
    pointers[copy] = &writes[copy];
  }
  TRY(context_.io.run(pointers));
  ++nodes_;
  return pointer;
}

// The first copies grow from the volume's start, the second ones from its middle.
Result<BlockNumber> TreeBuilder::take_place(std::size_t copy) {
  const std::uint64_t blocks = context_.layout.block_count();
  const std::uint64_t size = context_.layout.node_blocks();
  std::uint64_t& at = next_place_[copy];
  for (bool wrapped = false;;) {
    if (at + size > blocks) {
      if (wrapped) return fail(ErrorCode::no_space, "there is no room to write a repaired tree beside the old one");
      wrapped = true;
      at = 0;
    }
    const BlockRun run{BlockNumber{at}, size};
    if (const std::optional<BlockNumber> taken = kept_.first_taken(run)) {
      at = taken->value() + 1;
    } else if (const std::optional<BlockNumber> old = avoid_.first_taken(run)) {
      at = old->value() + 1;
    } else if (context_.layout.touches_fixed(run)) {
      ++at;
    } else {
      static_cast<void>(kept_.claim(run));
      at += size;
      return run.first;
    }
  }
}

}  // namespace ashlar::fsck
