#include "blockio/request_check.h"

#include <algorithm>

namespace ashlar::blockio {
namespace {

bool memory_is_aligned(const Geometry& geometry, const IoOp& op) noexcept {
  const std::uint64_t alignment = std::max<std::uint64_t>(geometry.memory_alignment, 1);
  const auto fits = [&](const iovec& segment) {
    return reinterpret_cast<std::uintptr_t>(segment.iov_base) % alignment == 0 &&
           segment.iov_len % geometry.logical_sector == 0;
  };
  if (op.segments.empty()) return fits(op.single);
  for (const iovec& segment : op.segments) {
    if (!fits(segment)) return false;
  }
  return true;
}

}  // namespace

std::optional<ErrorCode> check_request(const Geometry& geometry, const IoOp& op) noexcept {
  if (op.kind != OpKind::read && geometry.read_only)
    return op.kind == OpKind::flush ? std::nullopt : std::optional(ErrorCode::read_only);
  if (op.kind == OpKind::flush) return std::nullopt;
  if (op.length == 0 || op.segments.size() > kMaxSegments) return ErrorCode::invalid_argument;
  if (op.offset % geometry.logical_sector != 0 || op.length % geometry.logical_sector != 0)
    return ErrorCode::misaligned;
  if (op.offset > geometry.size || op.length > geometry.size - op.offset) return ErrorCode::beyond_device;
  const bool transfers = op.kind == OpKind::read || op.kind == OpKind::write || op.kind == OpKind::write_durable;
  if (transfers && !memory_is_aligned(geometry, op)) return ErrorCode::misaligned;
  return std::nullopt;
}

}  // namespace ashlar::blockio
