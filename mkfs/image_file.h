// An image file that is created or grown for a volume, and put back as it was unless the volume was made.
#pragma once

#include <cstdint>
#include <string>

#include "fs/base/result.h"

namespace ashlar::mkfs {

class ImageFile {
 public:
  // Makes `path` a sparse file of at least `size` bytes. It must not exist or be a regular file.
  [[nodiscard]] static Result<ImageFile> prepare(const std::string& path, std::uint64_t size);
  ~ImageFile();
  ImageFile(ImageFile&& other) noexcept;
  ImageFile& operator=(ImageFile&&) = delete;
  ImageFile(const ImageFile&) = delete;
  ImageFile& operator=(const ImageFile&) = delete;

  // From now on it stays.
  void keep() noexcept { restore_ = Restore::nothing; }

 private:
  enum class Restore { nothing, size, absence };
  ImageFile(std::string path, Restore restore, std::uint64_t old_size)
      : path_(std::move(path)), restore_(restore), old_size_(old_size) {}

  std::string path_;
  Restore restore_;
  std::uint64_t old_size_;
};

}  // namespace ashlar::mkfs
