#include "blockio/io_op.h"

namespace ashlar::blockio {
namespace {

IoOp plain(OpKind kind, std::uint64_t offset, void* memory, std::uint64_t length) noexcept {
  IoOp op;
  op.kind = kind;
  op.offset = offset;
  op.length = length;
  op.single = iovec{memory, length};
  return op;
}

IoOp vectored(OpKind kind, std::uint64_t offset, std::span<const iovec> segments) noexcept {
  IoOp op;
  op.kind = kind;
  op.offset = offset;
  op.segments = segments;
  for (const iovec& segment : segments) op.length += segment.iov_len;
  return op;
}

// The kernel's interfaces take writable memory for both directions; a write leaves it as it is.
void* memory_of(std::span<const std::byte> buffer) noexcept { return const_cast<std::byte*>(buffer.data()); }

}  // namespace

std::string_view name_of(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::read: return "read";
    case OpKind::write: return "write";
    case OpKind::write_durable: return "write_durable";
    case OpKind::flush: return "flush";
    case OpKind::discard: return "discard";
    case OpKind::write_zeroes: return "write_zeroes";
    case OpKind::watch: return "watch";
    case OpKind::compute: return "compute";
    case OpKind::command: return "command";
  }
  return "unknown";
}

IoOp IoOp::read(std::uint64_t offset, std::span<std::byte> buffer) noexcept {
  return plain(OpKind::read, offset, buffer.data(), buffer.size());
}
IoOp IoOp::write(std::uint64_t offset, std::span<const std::byte> buffer) noexcept {
  return plain(OpKind::write, offset, memory_of(buffer), buffer.size());
}
IoOp IoOp::write_durable(std::uint64_t offset, std::span<const std::byte> buffer) noexcept {
  return plain(OpKind::write_durable, offset, memory_of(buffer), buffer.size());
}
IoOp IoOp::readv(std::uint64_t offset, std::span<const iovec> segments) noexcept {
  return vectored(OpKind::read, offset, segments);
}
IoOp IoOp::writev(std::uint64_t offset, std::span<const iovec> segments) noexcept {
  return vectored(OpKind::write, offset, segments);
}
IoOp IoOp::flush() noexcept { return plain(OpKind::flush, 0, nullptr, 0); }
IoOp IoOp::discard(std::uint64_t offset, std::uint64_t length) noexcept {
  return plain(OpKind::discard, offset, nullptr, length);
}
IoOp IoOp::write_zeroes(std::uint64_t offset, std::uint64_t length) noexcept {
  return plain(OpKind::write_zeroes, offset, nullptr, length);
}
IoOp IoOp::watch(int descriptor) noexcept {
  IoOp op = plain(OpKind::watch, 0, nullptr, 0);
  op.descriptor = descriptor;
  return op;
}
IoOp IoOp::compute(Work work, void* context) noexcept {
  IoOp op = plain(OpKind::compute, 0, nullptr, 0);
  op.work = work;
  op.context = context;
  return op;
}
IoOp IoOp::command(std::uint32_t code, std::span<const std::byte> bytes, void* address, std::uint32_t length) noexcept {
  IoOp op = plain(OpKind::command, 0, nullptr, 0);
  op.code = code;
  op.bytes = bytes;
  op.single = iovec{address, length};
  return op;
}

}  // namespace ashlar::blockio
