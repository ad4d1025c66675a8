// One asynchronous operation on a device. Owned by the caller, who keeps it and its memory alive and untouched from
// submit() until its completion ran. Nothing is allocated per operation.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "fs/base/error.h"

namespace ashlar::blockio {

enum class OpKind : std::uint8_t {
  read,
  write,
  write_durable,  // on the medium when it completes (RWF_DSYNC), and with it all writes that completed before its
                  // submit
  flush,          // all writes that completed before its submit are on the medium when it completes
  discard,        // contents undefined afterwards
  write_zeroes,
  watch,    // completes once when a descriptor is readable or closed at its other end; occupies the queue as any other
  compute,  // runs a function on a helper thread; completes on the queue's
  command,  // of a ring, to the queue's other file: completes when that file says so. Nothing of the device's
};
inline constexpr std::size_t kOpKinds = 9;

// A word for it, as statistics are labelled: "read", "write_durable".
[[nodiscard]] std::string_view name_of(OpKind kind) noexcept;

// Moves bytes between memory and the device.
[[nodiscard]] constexpr bool is_transfer(OpKind kind) noexcept {
  return kind == OpKind::read || kind == OpKind::write || kind == OpKind::write_durable;
}

// Changes a range of the device without memory.
[[nodiscard]] constexpr bool is_range(OpKind kind) noexcept {
  return kind == OpKind::discard || kind == OpKind::write_zeroes;
}

// What ends it is not the device, and may never come.
[[nodiscard]] constexpr bool is_endless(OpKind kind) noexcept {
  return kind == OpKind::watch || kind == OpKind::command;
}

// The most segments a vectored operation may have.
inline constexpr std::size_t kMaxSegments = 256;
// The most bytes that a command hands over beside its memory.
inline constexpr std::size_t kMaxCommand = 80;

class IoOp {
 public:
  using Completion = void (*)(IoOp&) noexcept;
  using Work = void (*)(IoOp&) noexcept;

  IoOp() = default;
  // Offsets and lengths in bytes, multiples of the device's logical sector; memory aligned to kBufferAlignment.
  static IoOp read(std::uint64_t offset, std::span<std::byte> buffer) noexcept;
  static IoOp write(std::uint64_t offset, std::span<const std::byte> buffer) noexcept;
  static IoOp write_durable(std::uint64_t offset, std::span<const std::byte> buffer) noexcept;
  static IoOp readv(std::uint64_t offset, std::span<const iovec> segments) noexcept;
  static IoOp writev(std::uint64_t offset, std::span<const iovec> segments) noexcept;
  static IoOp flush() noexcept;
  static IoOp discard(std::uint64_t offset, std::uint64_t length) noexcept;
  static IoOp write_zeroes(std::uint64_t offset, std::uint64_t length) noexcept;
  // The descriptor stays the caller's, open until this completed.
  static IoOp watch(int descriptor) noexcept;
  // `work` runs on another thread (on this one where there is none to be had) and may use `context`; it cannot fail.
  static IoOp compute(Work work, void* context) noexcept;
  // IORING_OP_URING_CMD with that code to QueueConfig::commands_to, for queues that take_commands(). What is in `bytes`
  // stays the caller's until it completed; what `address` and `length` mean, and whether the memory is used longer, is
  // the file's affair. Nobody can take it back: it ends when the file ends it.
  static IoOp command(std::uint32_t code, std::span<const std::byte> bytes, void* address = nullptr,
                      std::uint32_t length = 0) noexcept;

  OpKind kind = OpKind::flush;
  int descriptor = -1;     // of a watch
  std::uint32_t code = 0;  // of a command
  int answer = 0;          // of a completed command: what the file said, negative an errno
  std::uint64_t offset = 0;
  std::uint64_t length = 0;          // bytes in all
  std::span<const iovec> segments;   // of a vectored operation; the array stays the caller's
  iovec single{};                    // of a plain one, or a command's address and length
  std::span<const std::byte> bytes;  // of a command
  // From submit; 0: none. Past it the operation is cancelled where the engine can, and then fails with timed_out. What
  // the kernel cannot take back any more ends when and as it ends: its memory is in use until then.
  std::chrono::nanoseconds deadline{0};

  // Runs once, on the queue owner's thread, from inside wait(), run(), drain() or a submit() that waits for room; may
  // submit, this operation too; that goes out when the completions that are due have run, or at once where
  // QueueConfig::send_early says so. Never from a submit() that
  // finds room, refused operations included.
  Completion complete = nullptr;
  void* context = nullptr;
  Work work = nullptr;  // of a compute

  // Its memory, plain or vectored.
  [[nodiscard]] std::span<const iovec> memory() const noexcept {
    return segments.empty() ? std::span<const iovec>(&single, 1) : segments;
  }

  // Valid once completed. A transfer is whole or an error: short ones are resubmitted below this interface.
  [[nodiscard]] bool ok() const noexcept { return !failed_; }
  [[nodiscard]] ErrorCode error() const noexcept { return error_; }
  [[nodiscard]] bool done() const noexcept { return done_; }
  // From submit to completion, waiting for room included. Operations that complete together have one clock reading.
  [[nodiscard]] std::chrono::nanoseconds latency() const noexcept { return std::chrono::nanoseconds(time_); }

 private:
  friend class IoQueue;
  ErrorCode error_ = ErrorCode::io_error;
  bool failed_ = false;
  bool done_ = false;
  std::uint32_t place_ = 0;  // where its queue keeps it
  std::int64_t time_ = 0;    // nanoseconds: when it was submitted, by the monotonic clock; once done, how long it took
  IoOp* next_ = nullptr;     // its queue's, for lists
};

}  // namespace ashlar::blockio
