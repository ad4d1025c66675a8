#include "fs/ctl/volume_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace ashlar::ctl {

Result<VolumeReader> VolumeReader::open(const std::string& path) {
  const auto failed = [&](int error) {
    return fail(from_errno(error), fmt::format("{}: {}", path, std::strerror(error)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);  // a FIFO would wait for somebody to write
  if (fd < 0) return failed(errno);
  VolumeReader reader(path, fd, 0);
  struct stat info {};
  if (fstat(fd, &info) != 0) return failed(errno);
  if (S_ISDIR(info.st_mode)) {
    return fail(
        ErrorCode::is_a_directory,
        fmt::format("{}: is a directory; give the device or image, or ask a mounted volume: `ashlarctl stat`", path));
  }
  if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: is neither a block device nor an image file", path));
  }
  const off_t size = lseek(fd, 0, SEEK_END);  // of a block device, too
  if (size < 0) return failed(errno);
  reader.size_ = static_cast<std::uint64_t>(size);
  return reader;
}

VolumeReader::VolumeReader(VolumeReader&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

VolumeReader::~VolumeReader() {
  if (fd_ >= 0) close(fd_);
}

Status VolumeReader::read(std::uint64_t offset, std::span<std::byte> buffer) const {
  if (offset > size_ || buffer.size() > size_ - offset) {
    return fail(ErrorCode::short_transfer, fmt::format("{}: ends before byte {}", path_, offset + buffer.size()));
  }
  while (!buffer.empty()) {
    const ssize_t got = pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(from_errno(errno), fmt::format("{}: reading at {}: {}", path_, offset, std::strerror(errno)));
    if (got == 0) return fail(ErrorCode::short_transfer, fmt::format("{}: ends before byte {}", path_, offset));
    buffer = buffer.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

std::array<format::Superblock, kSuperblockPlaces> VolumeReader::superblocks() const {
  std::array<format::Superblock, kSuperblockPlaces> places{};
  for (std::size_t place = 0; place < places.size(); ++place) {
    format::Superblock superblock{};
    const std::uint64_t offset = format::superblock_offset(slot_of_place(place), copy_of_place(place));
    if (read(offset, std::as_writable_bytes(std::span(&superblock, 1)))) places[place] = superblock;
  }
  return places;
}

Result<format::Superblock> VolumeReader::superblock() const {
  const auto places = superblocks();
  auto chosen = format::choose_superblock(places, size_, false);
  if (!chosen) return fail(std::move(chosen).error().with_context(path_));
  return places[*chosen];
}

}  // namespace ashlar::ctl
