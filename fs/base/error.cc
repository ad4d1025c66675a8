#include "fs/base/error.h"

#include <array>
#include <cerrno>

namespace ashlar {
namespace {

struct ErrorInfo {
  ErrorCode code;
  int error_number;
  std::string_view text;
};

constexpr std::array kErrors = {
    ErrorInfo{ErrorCode::not_permitted, EPERM, "operation not permitted"},
    ErrorInfo{ErrorCode::not_found, ENOENT, "no such file or directory"},
    ErrorInfo{ErrorCode::io_error, EIO, "input/output error"},
    ErrorInfo{ErrorCode::bad_descriptor, EBADF, "bad file descriptor"},
    ErrorInfo{ErrorCode::try_again, EAGAIN, "resource temporarily unavailable"},
    ErrorInfo{ErrorCode::out_of_memory, ENOMEM, "out of memory"},
    ErrorInfo{ErrorCode::access_denied, EACCES, "permission denied"},
    ErrorInfo{ErrorCode::busy, EBUSY, "device or resource busy"},
    ErrorInfo{ErrorCode::already_exists, EEXIST, "file exists"},
    ErrorInfo{ErrorCode::cross_device, EXDEV, "link across volumes"},
    ErrorInfo{ErrorCode::no_such_device, ENODEV, "no such device"},
    ErrorInfo{ErrorCode::not_a_directory, ENOTDIR, "not a directory"},
    ErrorInfo{ErrorCode::is_a_directory, EISDIR, "is a directory"},
    ErrorInfo{ErrorCode::invalid_argument, EINVAL, "invalid argument"},
    ErrorInfo{ErrorCode::file_too_large, EFBIG, "file too large"},
    ErrorInfo{ErrorCode::no_space, ENOSPC, "no space left on device"},
    ErrorInfo{ErrorCode::read_only, EROFS, "read-only volume"},
    ErrorInfo{ErrorCode::too_many_links, EMLINK, "too many links"},
    ErrorInfo{ErrorCode::out_of_range, ERANGE, "value out of range"},
    ErrorInfo{ErrorCode::name_too_long, ENAMETOOLONG, "file name too long"},
    ErrorInfo{ErrorCode::directory_not_empty, ENOTEMPTY, "directory not empty"},
    ErrorInfo{ErrorCode::no_attribute, ENODATA, "no such attribute"},
    ErrorInfo{ErrorCode::not_supported, EOPNOTSUPP, "operation not supported"},
    ErrorInfo{ErrorCode::not_implemented, ENOSYS, "function not implemented"},
    ErrorInfo{ErrorCode::stale_handle, ESTALE, "stale file handle"},
    ErrorInfo{ErrorCode::interrupted, EINTR, "interrupted"},
    ErrorInfo{ErrorCode::timed_out, ETIMEDOUT, "timed out"},
    ErrorInfo{ErrorCode::cancelled, ECANCELED, "cancelled"},
    ErrorInfo{ErrorCode::argument_too_large, E2BIG, "argument too large"},
    ErrorInfo{ErrorCode::short_transfer, EIO, "short transfer: the device shrank or is gone"},
    ErrorInfo{ErrorCode::misaligned, EINVAL, "misaligned request"},
    ErrorInfo{ErrorCode::beyond_device, EIO, "request beyond the end of the device"},
    ErrorInfo{ErrorCode::not_a_volume, EINVAL, "not an AshlarFS volume"},
    ErrorInfo{ErrorCode::unsupported_format, EOPNOTSUPP, "unsupported on-disk format"},
    ErrorInfo{ErrorCode::bad_checksum, EIO, "checksum mismatch"},
    ErrorInfo{ErrorCode::misdirected_block, EIO, "block belongs elsewhere"},
    ErrorInfo{ErrorCode::stale_block, EIO, "block of an older generation"},
    ErrorInfo{ErrorCode::corrupt_structure, EIO, "corrupt structure"},
    ErrorInfo{ErrorCode::device_too_small, ENOSPC, "device too small"},
    ErrorInfo{ErrorCode::shut_down, EIO, "volume shut down after an earlier error"},
};

// The table is indexed by the code, so its order must be the enumeration's.
constexpr bool table_is_ordered() {
  for (std::size_t i = 0; i < kErrors.size(); ++i) {
    if (static_cast<std::size_t>(kErrors[i].code) != i) return false;
  }
  return true;
}
static_assert(table_is_ordered());
static_assert(kErrors.size() == static_cast<std::size_t>(ErrorCode::shut_down) + 1);

}  // namespace

int to_errno(ErrorCode code) noexcept { return kErrors[static_cast<std::size_t>(code)].error_number; }

ErrorCode from_errno(int error_number) noexcept {
  for (const ErrorInfo& info : kErrors) {
    if (info.error_number == error_number) return info.code;
  }
  if (error_number == ENXIO) return ErrorCode::no_such_device;
  return ErrorCode::io_error;
}

std::string_view describe(ErrorCode code) noexcept { return kErrors[static_cast<std::size_t>(code)].text; }

std::string Error::message() const { return detail_ ? *detail_ : std::string(describe(code_)); }

Error Error::with_context(std::string_view context) && {
  std::string detail(context);
  detail += ": ";
  detail += message();
  return {code_, std::move(detail)};
}

}  // namespace ashlar
