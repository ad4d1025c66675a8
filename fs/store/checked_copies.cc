#include "fs/store/checked_copies.h"

#include <algorithm>

#include "fs/base/log.h"

namespace ashlar::store {

CheckedCopies check_copies(blockio::IoQueue& io, const std::array<std::uint64_t, format::kCopies>& offsets,
                           std::span<std::byte> image, std::span<std::byte> second,
                           const std::function<Status(std::span<const std::byte>)>& verify, bool heal) {
  CheckedCopies checked;
  std::array<blockio::IoOp, format::kCopies> reads = {blockio::IoOp::read(offsets[0], image),
                                                      blockio::IoOp::read(offsets[1], second)};
  const std::array<blockio::IoOp*, format::kCopies> pending = {&reads[0], &reads[1]};
  static_cast<void>(io.run(pending));  // each has its own outcome
  checked.copy[0] = reads[0].ok() ? verify(image) : fail(reads[0].error());
  checked.copy[1] = reads[1].ok() ? verify(second) : fail(reads[1].error());
  if (checked.bad() != 1) return checked;
  const std::size_t good = checked.copy[0] ? 0 : 1;
  if (good == 1) std::copy(second.begin(), second.end(), image.begin());
  if (!heal) return checked;
  const std::uint64_t target = offsets[1 - good];
  // Not durable by itself: a flush that fails must stop the volume, which healing never does.
  blockio::IoOp rewrite = blockio::IoOp::write(target, image);
  const Status written = io.run(rewrite);
  checked.healed = written.has_value();
  if (!written) log(LogLevel::error, "byte {}: a bad copy cannot be rewritten: {}", target, written.error().message());
  return checked;
}

}  // namespace ashlar::store
