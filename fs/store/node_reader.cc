#include "fs/store/node_reader.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "fs/base/log.h"

namespace ashlar::store {

NodeReader::NodeReader(const format::Layout& layout, const std::uint8_t (&uuid)[16], bool heal) noexcept
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
  static_cast<void>(heal_copy(io, pointer, 0, image));
  return {};
}

CheckedCopies NodeReader::check_copies(blockio::IoQueue& io, const format::NodePointer& pointer,
                                       std::span<std::byte> image, std::span<std::byte> second) {
  nodes_read_.fetch_add(1, std::memory_order_relaxed);
  CheckedCopies checked;
  const std::array<std::span<std::byte>, format::kCopies> buffers = {image, second};
  std::array<blockio::IoOp, format::kCopies> ops;
  std::vector<blockio::IoOp*> pending;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    if (!lies_in_volume(pointer, copy)) {
      checked.copy[copy] = fail(ErrorCode::corrupt_structure);
      continue;
    }
    ops[copy] = blockio::IoOp::read(layout_.byte_offset(pointer.address[copy]), buffers[copy]);
    pending.push_back(&ops[copy]);
  }
  static_cast<void>(io.run(pending));  // each copy has its own outcome
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    if (!checked.copy[copy]) continue;
    checked.copy[copy] =
        ops[copy].ok() ? format::validate_node(buffers[copy], uuid_, &pointer) : fail(ops[copy].error());
  }
  const auto bad = static_cast<std::uint64_t>(
      std::count_if(checked.copy.begin(), checked.copy.end(), [](const Status& status) { return !status; }));
  bad_copies_.fetch_add(bad, std::memory_order_relaxed);
  if (bad == format::kCopies) {
    nodes_lost_.fetch_add(1, std::memory_order_relaxed);
  } else if (bad != 0) {
    const std::size_t good = checked.copy[0] ? 0 : 1;
    if (good == 1) std::copy(second.begin(), second.end(), image.begin());
    checked.healed = heal_copy(io, pointer, 1 - good, image);
  }
  return checked;
}

bool NodeReader::lies_in_volume(const format::NodePointer& pointer, std::size_t copy) const noexcept {
  return pointer.address[copy].value() <= layout_.block_count() - layout_.node_blocks();
}

Status NodeReader::read_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                             std::span<std::byte> image) const {
  const BlockNumber address = pointer.address[copy];
  if (!lies_in_volume(pointer, copy)) return fail(ErrorCode::corrupt_structure);
  blockio::IoOp op = blockio::IoOp::read(layout_.byte_offset(address), image);
  TRY(io.run(op));
  return format::validate_node(image, uuid_, &pointer);
}

bool NodeReader::heal_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                           std::span<const std::byte> image) {
  if (!heal_.load(std::memory_order_relaxed)) return false;
  blockio::IoOp op = blockio::IoOp::write(layout_.byte_offset(pointer.address[copy]), image);
  if (const Status written = io.run(op); !written) {
    log(LogLevel::error, "tree node at block {}: cannot be rewritten: {}", pointer.address[copy].value(),
        written.error().message());
    return false;
  }
  nodes_healed_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace ashlar::store
