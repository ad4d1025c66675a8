#include "fs/store/node_reader.h"

#include <cstring>
#include <utility>
#include <vector>

#include "fs/base/log.h"
#include "fs/format/places.h"

namespace ashlar::store {

NodeReader::NodeReader(const CurrentLayout& layout, const std::uint8_t (&uuid)[16], bool heal) noexcept
    : layout_(layout), heal_(heal) {
  std::memcpy(uuid_, uuid, sizeof uuid_);
}

Status NodeReader::read(blockio::IoQueue& io, const format::NodePointer& pointer, std::span<std::byte> image) {
  nodes_read_.fetch_add(1, std::memory_order_relaxed);
  Status first = read_copy(io, pointer, 0, image);
  if (first) return {};
  const Status second = read_copy(io, pointer, 1, image);
  if (!second) {
    bad_copies_.fetch_add(format::kCopies, std::memory_order_relaxed);
    nodes_lost_.fetch_add(1, std::memory_order_relaxed);
    return fail(std::move(first).error().with_context(
        fmt::format("tree node at block {}, both copies bad", pointer.address[0].value())));
  }
  bad_copies_.fetch_add(1, std::memory_order_relaxed);
  log(LogLevel::warning, "tree node at block {}: {}; answered from the copy at block {}", pointer.address[0].value(),
      first.error().message(), pointer.address[1].value());
  heal_copy(io, pointer, 0, image);
  return {};
}

void NodeReader::read_ahead(blockio::IoQueue& io, std::span<NodeRead> reads) {
  std::vector<blockio::IoOp> ops;
  std::vector<std::pair<blockio::IoOp*, NodeRead*>> under_way;
  std::vector<blockio::IoOp*> pointers;
  ops.reserve(reads.size());
  for (NodeRead& node : reads) {
    if (!lies_in_volume(node.pointer, 0)) continue;
    ops.push_back(blockio::IoOp::read(layout().byte_offset(node.pointer.address[0]), node.image));
    under_way.emplace_back(&ops.back(), &node);
    pointers.push_back(&ops.back());
  }
  nodes_read_.fetch_add(ops.size(), std::memory_order_relaxed);
  const bool all_read = io.run(pointers).has_value();
  for (auto [op, node] : under_way) {
    node->good = (all_read || op->ok()) && format::validate_node(node->image, uuid_, &node->pointer).has_value();
  }
}

CheckedCopies NodeReader::check_copies(blockio::IoQueue& io, const format::NodePointer& pointer,
                                       std::span<std::byte> image, std::span<std::byte> second) {
  nodes_read_.fetch_add(1, std::memory_order_relaxed);
  CheckedCopies checked = store::check_copies(
      io, {layout().byte_offset(pointer.address[0]), layout().byte_offset(pointer.address[1])}, image, second,
      [&](std::span<const std::byte> node) { return format::validate_node(node, uuid_, &pointer); },
      may_rewrite(pointer));
  bad_copies_.fetch_add(checked.bad(), std::memory_order_relaxed);
  if (!checked.any_good()) nodes_lost_.fetch_add(1, std::memory_order_relaxed);
  if (checked.healed) nodes_healed_.fetch_add(1, std::memory_order_relaxed);
  return checked;
}

// A parent with the right checksum may still have been made to lead a write anywhere.
bool NodeReader::may_rewrite(const format::NodePointer& pointer) const {
  return heal_.load(std::memory_order_relaxed) && format::check_node_places(layout(), pointer.address).has_value();
}

bool NodeReader::lies_in_volume(const format::NodePointer& pointer, std::size_t copy) const noexcept {
  return pointer.address[copy].value() <= layout().block_count() - layout().node_blocks();
}

Status NodeReader::read_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                             std::span<std::byte> image) const {
  const BlockNumber address = pointer.address[copy];
  if (!lies_in_volume(pointer, copy)) return fail(ErrorCode::corrupt_structure, "past the volume's end");
  blockio::IoOp op = blockio::IoOp::read(layout().byte_offset(address), image);
  TRY(io.run(op));
  return format::validate_node(image, uuid_, &pointer);
}

void NodeReader::heal_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                           std::span<const std::byte> image) {
  if (!may_rewrite(pointer)) return;
  blockio::IoOp op = blockio::IoOp::write(layout().byte_offset(pointer.address[copy]), image);
  if (const Status written = io.run(op); !written) {
    log(LogLevel::error, "tree node at block {}: cannot be rewritten: {}", pointer.address[copy].value(),
        written.error().message());
    return;
  }
  nodes_healed_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ashlar::store
