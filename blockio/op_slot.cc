#include "blockio/op_slot.h"

#include <algorithm>
#include <array>

#include "blockio/aligned_buffer.h"

namespace ashlar::blockio {
namespace {

constexpr std::size_t kZeroPage = kMaxTransfer / kMaxSegments;
alignas(kBufferAlignment) constexpr std::array<std::byte, kZeroPage> kZeros{};

}  // namespace

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
    for (const iovec& piece : op->memory()) {
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

void OpSlot::gather_zeros(std::uint64_t wanted) {
  transfer.length = wanted;
  transfer.segments = segments;
  // The kernel only reads them.
  auto* const zeros = const_cast<std::byte*>(kZeros.data());
  for (; wanted != 0; wanted -= segments[transfer.segment_count++].iov_len) {
    segments[transfer.segment_count] = {zeros, std::min<std::uint64_t>(wanted, kZeroPage)};
  }
}

}  // namespace ashlar::blockio
