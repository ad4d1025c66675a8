// The filesystems that the suite runs on, each freshly made.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace ashlar::posix_test {

// ashlarfs: an image file, mounted as plain fuse, with io_uring; ashlarfs_device: a block device with sectors of 4 KiB,
// mounted as fuseblk, with AIO.
enum class Kind { ext4, ashlarfs, ashlarfs_device };

[[nodiscard]] std::string_view name_of(Kind kind);

// Mounted from construction to destruction. Throws when the machine refuses.
class Filesystem {
 public:
  virtual ~Filesystem() = default;
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  [[nodiscard]] virtual const std::filesystem::path& root() const = 0;
  // Unmounts, checks, mounts again: what follows is read from the device. `options` as for mount -o.
  virtual void remount(const std::string& options) = 0;

  [[nodiscard]] static std::unique_ptr<Filesystem> make(Kind kind);

 protected:
  Filesystem() = default;
};

}  // namespace ashlar::posix_test
