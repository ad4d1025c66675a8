// DeviceQueue: the way of a slot from its first step to its end.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "blockio/device_queue.h"
#include "blockio/kernel_forms.h"

namespace ashlar::blockio {
namespace {

constexpr std::int64_t kRetryDelay = 1'000'000;

// The kernel's block layer says ENODATA of a medium that cannot be read, ENODEV or ENXIO of a device that is gone, and
// a network's filesystem ESTALE of an image that is. To who asked for a file's data they mean another thing.
ErrorCode error_of_device(int error) noexcept {
  switch (error) {
    case ENODATA:
    case ENODEV:
    case ENXIO:
    case ESTALE: return ErrorCode::io_error;
    default: return from_errno(error);
  }
}

// For a helper thread: what has no asynchronous form.
std::int64_t perform_blocking(int descriptor, const Transfer& transfer, bool on_block_device) noexcept {
  if (transfer.kind == OpKind::flush) return fdatasync(descriptor) == 0 ? 0 : -errno;
  int outcome = 0;
  if (transfer.kind == OpKind::discard && on_block_device) {
    std::array<std::uint64_t, 2> range{transfer.offset, transfer.length};
    outcome = ioctl(descriptor, BLKDISCARD, range.data());
  } else {
    outcome = fallocate(descriptor, fallocate_mode(transfer.kind), static_cast<off_t>(transfer.offset),
                        static_cast<off_t>(transfer.length));
  }
  return outcome == 0 ? 0 : -errno;
}

}  // namespace

bool DeviceQueue::needs_second_flush(const IoOp& op) const noexcept {
  return op.kind == OpKind::write_durable && !geometry_.durable_write_flushes;
}

// Punching a hole in a block device means zeroing it, which one that can only discard refuses; discarding is another
// call, of which liburing 2.3 knows no asynchronous form (Linux 6.12 has one).
bool DeviceQueue::needs_helper(OpKind kind) const noexcept {
  return !engine_->handles(kind) || (kind == OpKind::discard && is_block_device(geometry_.kind));
}

void DeviceQueue::prepare_step(OpSlot& slot) {
  const IoOp& op = *slot.first;
  Transfer& transfer = slot.transfer;
  transfer = Transfer{};
  transfer.slot = static_cast<std::uint32_t>(&slot - slots_.data());
  transfer.kind = slot.flushing ? OpKind::flush : op.kind;
  if (is_transfer(transfer.kind)) {
    const std::uint64_t whole = slot.one_by_one ? op.length : slot.length;
    slot.gather(std::min(whole - slot.moved, kMaxTransfer), next);
    transfer.offset = geometry_.window_offset + op.offset + slot.moved;
    transfer.durable = op.kind == OpKind::write_durable && geometry_.durable_write_flushes;
  } else if (is_range(transfer.kind)) {
    prepare_range(slot);
  } else if (transfer.kind == OpKind::watch) {
    transfer.watched = op.descriptor;
  } else if (transfer.kind == OpKind::command) {
    transfer.command = &op;
  }
  if (needs_helper(transfer.kind)) return hand_to_helper(slot);
  slot.place = OpSlot::Place::ready;
  ready_.push_back(&transfer);
}

void DeviceQueue::prepare_range(OpSlot& slot) {
  const IoOp& op = *slot.first;
  Transfer& transfer = slot.transfer;
  const std::uint64_t left = op.length - slot.moved;
  transfer.offset = geometry_.window_offset + op.offset + slot.moved;
  if (op.kind == OpKind::write_zeroes && writes_zeros_) {
    transfer.kind = OpKind::write;
    slot.gather_zeros(std::min(left, kMaxTransfer));
  } else {
    transfer.length = std::min(left, slot.range - transfer.offset % slot.range);
    slot.range_began = now();
  }
}

void DeviceQueue::hand_to_helper(OpSlot& slot) {
  if (is_endless(slot.transfer.kind)) return fail_step(slot, ErrorCode::not_supported);
  if (!waker_) {
    if (Result<std::unique_ptr<Waker>> waker = Waker::create()) waker_ = *std::move(waker);
  }
  slot.place = OpSlot::Place::helper;
  ++helped_in_flight_;
  if (waker_ && helpers_ != nullptr) return helpers_->submit(slot);
  // Nobody to help, or no means to hear of it.
  help(slot);
  if (!waker_) collect_helped();
}

// On a helper's thread, which lets go of the slot, and with it perhaps of the queue, when it unlocks.
void DeviceQueue::help(HelperJob& job) noexcept {
  auto& slot = static_cast<OpSlot&>(job);
  DeviceQueue& queue = *slot.queue;
  if (slot.transfer.kind == OpKind::compute) {
    slot.first->work(*slot.first);
  } else {
    slot.transfer.result = perform_blocking(queue.descriptor_, slot.transfer, is_block_device(queue.geometry_.kind));
  }
  const std::scoped_lock lock(queue.helped_mutex_);
  job.next_job = queue.helped_;
  queue.helped_ = &job;
  if (queue.waker_) queue.waker_->ring();
}

void DeviceQueue::collect_helped() {
  HelperJob* job = nullptr;
  {
    const std::scoped_lock lock(helped_mutex_);
    // The last one to come back is the first of these.
    for (HelperJob* last = std::exchange(helped_, nullptr); last != nullptr;) {
      HelperJob* const before = std::exchange(last->next_job, job);
      job = std::exchange(last, before);
    }
  }
  while (job != nullptr) {
    auto& slot = static_cast<OpSlot&>(*job);
    job = job->next_job;
    --helped_in_flight_;
    settle(slot);
  }
}

void DeviceQueue::settle(OpSlot& slot) {
  const std::int64_t result = slot.transfer.result;
  if (slot.transfer.kind == OpKind::command) return settle_command(slot);
  if (result >= 0) {
    if (is_transfer(slot.transfer.kind)) return settle_bytes(slot);
    if (!is_range(slot.transfer.kind)) return end_first(slot, std::nullopt);
    const bool quick = now() - slot.range_began < kQuickRange;
    slot.range = quick ? std::min(2 * slot.range, kMaxRange) : kFirstRange;
    slot.transfer.result = static_cast<std::int64_t>(slot.transfer.length);
    return settle_bytes(slot);
  }
  const auto error = static_cast<int>(-result);
  const bool again = error == EAGAIN || error == EINTR;
  if (again && !slot.is_stopping() && slot.retries < kMostRetries) return retry(slot);
  if ((again || error == ECANCELED) && slot.is_stopping()) {
    return fail_step(slot, slot.expired ? ErrorCode::timed_out : ErrorCode::cancelled);
  }
  if (error == EOPNOTSUPP && slot.transfer.kind == OpKind::write_zeroes && !slot.is_stopping()) {
    writes_zeros_ = true;
    return prepare_step(slot);
  }
  fail_step(slot, error_of_device(error));
}

// Never repeated: the file may have acted on it.
void DeviceQueue::settle_command(OpSlot& slot) {
  const int answer = static_cast<int>(slot.transfer.result);
  slot.first->answer = answer;
  end_first(slot, answer < 0 ? std::optional(from_errno(-answer)) : std::nullopt);
}

void DeviceQueue::settle_bytes(OpSlot& slot) {
  const auto result = static_cast<std::uint64_t>(slot.transfer.result);
  // A transfer that ended inside a sector is repeated from the sector's start.
  const std::uint64_t moved = result - result % geometry_.logical_sector;
  if (moved == 0) return fail_step(slot, ErrorCode::short_transfer);
  if (moved < slot.transfer.length) statistics_.shortened.add(1);
  slot.retries = 0;
  slot.moved += moved;
  if (slot.moved == slot.first->length && needs_second_flush(*slot.first)) {
    slot.flushing = true;
    return prepare_step(slot);
  }
  while (slot.moved >= slot.first->length) {
    const bool last = slot.first == slot.last;
    slot.moved -= slot.first->length;
    const bool others_moved = slot.moved != 0;
    end_first(slot, std::nullopt);
    if (last || !others_moved) return;  // end_first() sends what nothing of has moved
  }
  if (slot.is_stopping()) return fail_step(slot, slot.expired ? ErrorCode::timed_out : ErrorCode::cancelled);
  prepare_step(slot);
}

void DeviceQueue::retry(OpSlot& slot) {
  statistics_.retried.add(1);
  if (slot.retries++ < kImmediateRetries) return prepare_step(slot);
  slot.place = OpSlot::Place::delayed;
  slot.resume_at = now() + kRetryDelay;
  set_timer(slot.resume_at);
}

void DeviceQueue::fail_step(OpSlot& slot, ErrorCode error) {
  if (slot.first == slot.last || slot.one_by_one) {
    slot.moved = 0;
    return end_first(slot, error);
  }
  slot.one_by_one = true;
  slot.retries = 0;
  prepare_step(slot);
}

// Takes the outcome of the slot's first operation; sends the next or frees the slot.
void DeviceQueue::end_first(OpSlot& slot, std::optional<ErrorCode> error) {
  IoOp& op = *slot.first;
  const bool alone = slot.first == slot.last;
  slot.first = next_of(op);
  slot.length -= op.length;
  if (!alone) --joined_;
  decide(op, error);
  place_of(op) = kNowhere;
  ended_.push(op);
  if (alone) {
    release(slot);
  } else if (slot.moved == 0) {
    slot.retries = 0;
    prepare_step(slot);
  }
}

void DeviceQueue::release(OpSlot& slot) {
  if (slot.unplain) --unplain_;
  slot.place = OpSlot::Place::free;
  slot.first = nullptr;
  slot.last = nullptr;
  free_.push_back(&slot);
}

// The slot is cancelled or expired.
void DeviceQueue::stop(OpSlot& slot) {
  statistics_.cancelled.add(1);
  switch (slot.place) {
    case OpSlot::Place::engine: engine_->cancel(slot.transfer); break;
    case OpSlot::Place::ready: ready_.erase(std::find(ready_.begin(), ready_.end(), &slot.transfer)); [[fallthrough]];
    case OpSlot::Place::delayed: fail_step(slot, slot.expired ? ErrorCode::timed_out : ErrorCode::cancelled); break;
    case OpSlot::Place::helper:
      if (helpers_ == nullptr || !helpers_->withdraw(slot)) break;  // ends when it ends
      --helped_in_flight_;
      fail_step(slot, slot.expired ? ErrorCode::timed_out : ErrorCode::cancelled);
      break;
    case OpSlot::Place::free: break;
  }
}

void DeviceQueue::set_timer(std::int64_t at) noexcept { next_timer_ = std::min(next_timer_, at); }

void DeviceQueue::fire_timers(std::int64_t time) {
  next_timer_ = kNever;
  for (OpSlot& slot : slots_) {
    if (slot.place == OpSlot::Place::free) continue;
    if (slot.deadline <= time && !slot.is_stopping()) {
      slot.expired = true;
      stop(slot);
    }
    if (slot.place == OpSlot::Place::delayed && slot.resume_at <= time) prepare_step(slot);
    if (slot.place == OpSlot::Place::free) continue;
    if (slot.place == OpSlot::Place::delayed) set_timer(slot.resume_at);
    if (!slot.is_stopping()) set_timer(slot.deadline);
  }
}

}  // namespace ashlar::blockio
