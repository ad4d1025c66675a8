#include "mkfs/image_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace ashlar::mkfs {
namespace {

Error system_error(const char* what) {
  const int error = errno;
  return Error(from_errno(error), fmt::format("{}: {}", what, std::strerror(error)));
}

}  // namespace

Result<ImageFile> ImageFile::prepare(const std::string& path, std::uint64_t size) {
  struct stat info {};
  const bool exists = stat(path.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) return fail(system_error("cannot be examined"));
  const auto old_size = exists ? static_cast<std::uint64_t>(info.st_size) : 0;
  if (exists && old_size >= size) return ImageFile(path, Restore::nothing, old_size);

  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | (exists ? 0 : O_CREAT | O_EXCL), 0666);
  if (fd < 0) return fail(system_error(exists ? "cannot be opened" : "cannot be created"));
  ImageFile image(path, exists ? Restore::size : Restore::absence, old_size);
  const bool grown = ftruncate(fd, static_cast<off_t>(size)) == 0;
  Status status;
  if (!grown) status = fail(system_error("cannot be given that size"));
  if (close(fd) != 0 && status) status = fail(system_error("cannot be written"));
  if (!status) return fail(std::move(status).error());
  return image;
}

ImageFile::ImageFile(ImageFile&& other) noexcept
    : path_(std::move(other.path_)),
      restore_(std::exchange(other.restore_, Restore::nothing)),
      old_size_(other.old_size_) {}

ImageFile::~ImageFile() {
  // Nobody is left to tell of a failure here; the error that led here has been reported.
  if (restore_ == Restore::absence) static_cast<void>(unlink(path_.c_str()));
  if (restore_ == Restore::size && truncate(path_.c_str(), static_cast<off_t>(old_size_)) != 0) return;
}

}  // namespace ashlar::mkfs
