// One asynchronous operation on a device. Owned by the caller, who keeps it and its memory alive and untouched from
// submit() until its completion ran. Nothing is allocated per operation.
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstdint>
#include <span>

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
};

// The most segments a vectored operation may have.
inline constexpr std::size_t kMaxSegments = 256;

class IoOp {
 public:
  using Completion = void (*)(IoOp&) noexcept;

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

  OpKind kind = OpKind::flush;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;         // bytes in all
  std::span<const iovec> segments;  // of a vectored operation; the array stays the caller's
  iovec single{};                   // of a plain one
  std::chrono::nanoseconds deadline{
      0};  // from submit; 0: none. Past it the operation is cancelled where the engine can

  Completion complete = nullptr;  // runs once, on the queue owner's thread, from inside wait() or drain(); may submit
  void* context = nullptr;

  // Valid once completed. A transfer is whole or an error: short ones are resubmitted below this interface.
  [[nodiscard]] bool ok() const noexcept { return !failed_; }
  [[nodiscard]] ErrorCode error() const noexcept { return error_; }
  [[nodiscard]] bool done() const noexcept { return done_; }

 private:
  friend class IoQueue;
  ErrorCode error_ = ErrorCode::io_error;
  bool failed_ = false;
  bool done_ = false;
};

}  // namespace ashlar::blockio
