// Reads a volume for a look at it: without a lock, so also while it is mounted, when what is read may be changing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fs/base/result.h"
#include "fs/format/layout.h"
#include "fs/format/superblock.h"

namespace ashlar::ctl {

inline constexpr std::size_t kSuperblockPlaces = format::kSuperblockSlots * format::kCopies;

class VolumeReader {
 public:
  // Errors name the device.
  [[nodiscard]] static Result<VolumeReader> open(const std::string& path);
  ~VolumeReader();
  VolumeReader(VolumeReader&& other) noexcept;
  VolumeReader& operator=(VolumeReader&&) = delete;
  VolumeReader(const VolumeReader&) = delete;
  VolumeReader& operator=(const VolumeReader&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t device_size() const noexcept { return size_; }

  // short_transfer when the range is not all on the device.
  [[nodiscard]] Status read(std::uint64_t offset, std::span<std::byte> buffer) const;

  // By slot * kCopies + copy; zeros where the device is too short.
  [[nodiscard]] std::array<format::Superblock, kSuperblockPlaces> superblocks() const;
  // The one that is the volume.
  [[nodiscard]] Result<format::Superblock> superblock() const;

 private:
  VolumeReader(std::string path, int fd, std::uint64_t size) : path_(std::move(path)), fd_(fd), size_(size) {}

  std::string path_;
  int fd_;
  std::uint64_t size_;
};

[[nodiscard]] constexpr std::size_t slot_of_place(std::size_t place) noexcept { return place / format::kCopies; }
[[nodiscard]] constexpr std::size_t copy_of_place(std::size_t place) noexcept { return place % format::kCopies; }

}  // namespace ashlar::ctl
