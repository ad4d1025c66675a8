#include "blockio/device_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "blockio/request_check.h"

namespace ashlar::blockio {
namespace {

constexpr std::size_t kReapBatch = 64;

bool is_transfer(OpKind kind) noexcept {
  return kind == OpKind::read || kind == OpKind::write || kind == OpKind::write_durable;
}

}  // namespace

DeviceQueue::DeviceQueue(std::unique_ptr<Engine> engine, const Geometry& geometry, std::uint32_t depth)
    : engine_(std::move(engine)), geometry_(geometry), slots_(depth) {
  free_.reserve(depth);
  ready_.reserve(depth);
  for (Slot& slot : slots_) free_.push_back(&slot);
}

DeviceQueue::~DeviceQueue() { drain(); }

void DeviceQueue::submit(std::span<IoOp* const> ops) {
  for (IoOp* op : ops) {
    begin(*op);
    if (const std::optional<ErrorCode> error = check_request(geometry_, *op)) {
      finish(*op, *error);
      continue;
    }
    while (free_.empty()) wait(1, std::nullopt);
    Slot& slot = *free_.back();
    free_.pop_back();
    slot.op = op;
    slot.moved = 0;
    slot.flushing = false;
    prepare_step(slot);
  }
  start_ready();
}

void DeviceQueue::prepare_step(Slot& slot) {
  const IoOp& op = *slot.op;
  Transfer& transfer = slot.transfer;
  transfer = Transfer{};
  transfer.slot = static_cast<std::size_t>(&slot - slots_.data());
  transfer.kind = slot.flushing ? OpKind::flush : op.kind;
  if (transfer.kind == OpKind::discard || transfer.kind == OpKind::write_zeroes) {
    transfer.offset = geometry_.window_offset + op.offset;
    transfer.length = op.length;
  } else if (transfer.kind != OpKind::flush) {
    gather_segments(slot, std::min(op.length - slot.moved, kMaxTransfer));
    transfer.offset = geometry_.window_offset + op.offset + slot.moved;
    transfer.segments = slot.segments.data();
    transfer.segment_count = static_cast<unsigned>(slot.segments.size());
    transfer.durable = op.kind == OpKind::write_durable && geometry_.durable_write_flushes;
  }
  ready_.push_back(&transfer);
}

// The memory of the next step: `length` bytes from slot.moved on.
void DeviceQueue::gather_segments(Slot& slot, std::uint64_t length) {
  const IoOp& op = *slot.op;
  slot.segments.clear();
  const std::span<const iovec> all = op.segments.empty() ? std::span(&op.single, 1) : op.segments;
  std::uint64_t skip = slot.moved;
  std::uint64_t wanted = length;
  for (const iovec& segment : all) {
    if (wanted == 0) break;
    if (skip >= segment.iov_len) {
      skip -= segment.iov_len;
      continue;
    }
    const std::uint64_t take = std::min(segment.iov_len - skip, wanted);
    slot.segments.push_back(iovec{static_cast<std::byte*>(segment.iov_base) + skip, take});
    skip = 0;
    wanted -= take;
  }
  slot.transfer.length = length;
}

void DeviceQueue::start_ready() {
  if (ready_.empty()) return;
  const std::size_t taken = engine_->start(ready_);
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(taken));
}

bool DeviceQueue::settle(Slot& slot) {
  const Transfer& transfer = slot.transfer;
  if (transfer.result == -EAGAIN || transfer.result == -EINTR) return false;  // nothing moved; the same step again
  if (transfer.result < 0) {
    complete(slot, from_errno(static_cast<int>(-transfer.result)));
    return true;
  }
  if (slot.flushing || !is_transfer(slot.op->kind)) {
    complete(slot, std::nullopt);
    return true;
  }
  // A transfer that ended inside a sector is repeated from the sector's start.
  auto moved = static_cast<std::uint64_t>(transfer.result);
  moved -= moved % geometry_.logical_sector;
  if (moved == 0) {
    complete(slot, ErrorCode::short_transfer);
    return true;
  }
  slot.moved += moved;
  if (slot.moved < slot.op->length) return false;
  if (slot.op->kind == OpKind::write_durable && !geometry_.durable_write_flushes) {
    slot.flushing = true;
    return false;
  }
  complete(slot, std::nullopt);
  return true;
}

void DeviceQueue::complete(Slot& slot, std::optional<ErrorCode> error) {
  IoOp& op = *slot.op;
  slot.op = nullptr;
  free_.push_back(&slot);  // first: the completion may submit
  ++completed_;
  if (error) {
    finish(op, *error);
  } else {
    finish(op);
  }
}

std::size_t DeviceQueue::reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) {
  // Not a member: completions may submit and wait, and so come here again.
  std::array<Transfer*, kReapBatch> finished;
  const std::size_t count = engine_->reap(min, timeout, finished);
  for (std::size_t i = 0; i < count; ++i) {
    Slot& slot = slots_[finished[i]->slot];
    if (!settle(slot)) prepare_step(slot);
  }
  start_ready();
  return count;
}

std::size_t DeviceQueue::wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) {
  const std::size_t before = completed_;
  const auto deadline = timeout ? std::optional(std::chrono::steady_clock::now() + *timeout) : std::nullopt;
  for (;;) {
    start_ready();
    const std::size_t ran = completed_ - before;
    if (is_idle()) return ran;
    std::optional<std::chrono::nanoseconds> left;
    if (deadline) left = std::max(std::chrono::nanoseconds(0), *deadline - std::chrono::steady_clock::now());
    reap(ran < min ? 1 : 0, left);
    const std::size_t now = completed_ - before;
    if (now >= min) return now;
    if (left && left->count() == 0) return now;
  }
}

void DeviceQueue::drain() {
  while (!is_idle()) wait(1, std::nullopt);
}

}  // namespace ashlar::blockio
