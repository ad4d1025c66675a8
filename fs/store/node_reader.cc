#include "fs/store/node_reader.h"

#include <cstring>

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
    return fail(std::move(first).error().with_context(
        fmt::format("tree node at block {}, both copies bad", pointer.address[0].value())));
  }
  bad_copies_.fetch_add(1, std::memory_order_relaxed);
  log(LogLevel::warning, "tree node at block {}: {}; answered from the copy at block {}", pointer.address[0].value(),
      first.error().message(), pointer.address[1].value());
  if (heal_.load(std::memory_order_relaxed)) heal_copy(io, pointer, 0, image);
  return {};
}

Status NodeReader::read_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                             std::span<std::byte> image) const {
  const BlockNumber address = pointer.address[copy];
  if (address.value() > layout_.block_count() - layout_.node_blocks()) return fail(ErrorCode::corrupt_structure);
  blockio::IoOp op = blockio::IoOp::read(layout_.byte_offset(address), image);
  TRY(io.run(op));
  return format::validate_node(image, uuid_, &pointer);
}

void NodeReader::heal_copy(blockio::IoQueue& io, const format::NodePointer& pointer, std::size_t copy,
                           std::span<const std::byte> image) {
  blockio::IoOp op = blockio::IoOp::write(layout_.byte_offset(pointer.address[copy]), image);
  if (const Status written = io.run(op); !written) {
    log(LogLevel::error, "tree node at block {}: cannot be rewritten: {}", pointer.address[copy].value(),
        written.error().message());
    return;
  }
  nodes_healed_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ashlar::store
