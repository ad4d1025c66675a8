#include "blockio/request_check.h"

#include <fmt/core.h>

#include <algorithm>

namespace ashlar::blockio {
namespace {

bool memory_is_aligned(const Geometry& geometry, const IoOp& op) noexcept {
  const std::uint64_t alignment = std::max<std::uint64_t>(geometry.memory_alignment, 1);
  for (const iovec& segment : op.memory()) {
    if (reinterpret_cast<std::uintptr_t>(segment.iov_base) % alignment != 0 ||
        segment.iov_len % geometry.logical_sector != 0) {
      return false;
    }
  }
  return true;
}

// The kernel is told of the memory, and everything else goes by the length.
bool memory_is_as_long(const IoOp& op) noexcept {
  std::uint64_t left = op.length;
  for (const iovec& segment : op.memory()) {
    if (segment.iov_len > left) return false;
    left -= segment.iov_len;
  }
  return left == 0;
}

}  // namespace

std::optional<ErrorCode> check_request(const Geometry& geometry, const IoOp& op) noexcept {
  switch (op.kind) {
    case OpKind::flush: return std::nullopt;
    case OpKind::watch: return op.descriptor < 0 ? std::optional(ErrorCode::bad_descriptor) : std::nullopt;
    case OpKind::compute: return op.work == nullptr ? std::optional(ErrorCode::invalid_argument) : std::nullopt;
    case OpKind::command:
      return op.bytes.size() > kMaxCommand ? std::optional(ErrorCode::invalid_argument) : std::nullopt;
    default: break;
  }
  if (op.kind != OpKind::read && geometry.read_only) return ErrorCode::read_only;
  if (op.length == 0 || op.segments.size() > kMaxSegments) return ErrorCode::invalid_argument;
  if (op.offset % geometry.logical_sector != 0 || op.length % geometry.logical_sector != 0)
    return ErrorCode::misaligned;
  if (op.offset > geometry.size || op.length > geometry.size - op.offset) return ErrorCode::beyond_device;
  if (is_range(op.kind)) return std::nullopt;
  if (!memory_is_as_long(op)) return ErrorCode::invalid_argument;
  if (!memory_is_aligned(geometry, op)) return ErrorCode::misaligned;
  return std::nullopt;
}

Status check_depth(std::uint32_t depth) {
  if (depth >= 1 && depth <= kMaxQueueDepth) return {};
  return fail(ErrorCode::invalid_argument,
              fmt::format("queue depth {} is not between 1 and {}", depth, kMaxQueueDepth));
}

}  // namespace ashlar::blockio
