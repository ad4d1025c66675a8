#include "blockio/op_slot.h"

#include <algorithm>

namespace ashlar::blockio {

// Pieces that touch in memory are one to the kernel.
void OpSlot::add(std::byte* base, std::uint64_t bytes) {
  if (transfer.segment_count != 0) {
    iovec& before = segments[transfer.segment_count - 1];
    if (static_cast<std::byte*>(before.iov_base) + before.iov_len == base) {
      before.iov_len += bytes;
      return;
    }
  }
  segments[transfer.segment_count++] = {base, bytes};
}

void OpSlot::gather(std::uint64_t wanted, IoOp* (*next)(IoOp&)) {
  transfer.length = wanted;
  transfer.segments = segments;
  transfer.segment_count = 0;
  std::uint64_t skip = moved;
  for (IoOp* op = first; op != nullptr && wanted != 0; op = next(*op)) {
    const std::span<const iovec> pieces = op->segments.empty() ? std::span<const iovec>(&op->single, 1) : op->segments;
    for (const iovec& piece : pieces) {
      if (wanted == 0) break;
      if (skip >= piece.iov_len) {
        skip -= piece.iov_len;
        continue;
      }
      const std::uint64_t take = std::min<std::uint64_t>(piece.iov_len - skip, wanted);
      add(static_cast<std::byte*>(piece.iov_base) + skip, take);
      skip = 0;
      wanted -= take;
    }
  }
}

}  // namespace ashlar::blockio
