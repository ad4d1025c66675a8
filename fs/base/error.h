// Errors: what went wrong, finer than errno, and optionally for whom and what to do about it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ashlar {

// Stable within a build only; never stored on disk.
enum class ErrorCode : std::uint16_t {
  // What POSIX callers can be told as it is.
  not_permitted,        // EPERM
  not_found,            // ENOENT
  io_error,             // EIO
  bad_descriptor,       // EBADF
  try_again,            // EAGAIN
  out_of_memory,        // ENOMEM
  access_denied,        // EACCES
  busy,                 // EBUSY
  already_exists,       // EEXIST
  cross_device,         // EXDEV
  no_such_device,       // ENODEV, ENXIO
  not_a_directory,      // ENOTDIR
  is_a_directory,       // EISDIR
  invalid_argument,     // EINVAL
  file_too_large,       // EFBIG
  no_space,             // ENOSPC
  read_only,            // EROFS
  too_many_links,       // EMLINK
  out_of_range,         // ERANGE
  name_too_long,        // ENAMETOOLONG
  directory_not_empty,  // ENOTEMPTY
  no_attribute,         // ENODATA
  not_supported,        // EOPNOTSUPP
  not_implemented,      // ENOSYS
  stale_handle,         // ESTALE
  interrupted,          // EINTR
  timed_out,            // ETIMEDOUT
  cancelled,            // ECANCELED
  argument_too_large,   // E2BIG
  // Findings about a device or its contents.
  short_transfer,      // fewer bytes than asked inside the device: it shrank or is gone
  misaligned,          // offset, length or memory not aligned as the device requires
  beyond_device,       // offset + length past the end of the device
  not_a_volume,        // no superblock of ours
  unsupported_format,  // a newer format or an unknown incompatible feature
  bad_checksum,        // CRC32C does not match
  misdirected_block,   // a well-formed block that belongs elsewhere
  stale_block,         // a well-formed block of an older generation
  corrupt_structure,   // checksummed and still not valid
  device_too_small,
  shut_down,  // the volume stopped after a failed log or checkpoint write
};

// The errno a system call reports for `code`; always positive.
[[nodiscard]] int to_errno(ErrorCode code) noexcept;

// The code for a positive errno; unknown ones become io_error.
[[nodiscard]] ErrorCode from_errno(int error_number) noexcept;

// A lower-case noun phrase without a full stop, for messages ("checksum mismatch").
[[nodiscard]] std::string_view describe(ErrorCode code) noexcept;

// An error with optional detail. Two words; no allocation unless detail is attached. Move-only.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code) noexcept : code_(code) {}  // NOLINT(google-explicit-constructor): `return unexpected(code)`
  Error(ErrorCode code, std::string detail) : code_(code), detail_(std::make_unique<std::string>(std::move(detail))) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] int error_number() const noexcept { return to_errno(code_); }

  // The detail when there is one, else describe(code()). One line.
  [[nodiscard]] std::string message() const;

  // The same error with `context + ": "` put before its message.
  [[nodiscard]] Error with_context(std::string_view context) &&;

 private:
  ErrorCode code_;
  std::unique_ptr<std::string> detail_;
};

}  // namespace ashlar
