// A real mount of a volume on a device that remembers every write, so that a power cut can be had at any of them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "blockio/recording_device.h"
#include "fs/fuse/session.h"
#include "fs/volume/volume.h"

namespace ashlar::mount_test {

// Formatted and mounted by the constructor, served by threads of this process. Everything about it that may be called
// while programs use the mount is thread-safe. Who unmounts must have left it. Throws when the machine refuses.
class RecordedMount {
 public:
  RecordedMount(std::uint64_t bytes, std::filesystem::path mount_point);
  ~RecordedMount();
  RecordedMount(const RecordedMount&) = delete;
  RecordedMount& operator=(const RecordedMount&) = delete;

  [[nodiscard]] const std::filesystem::path& root() const { return mount_point_; }
  [[nodiscard]] const blockio::RecordingDevice& device() const { return device_; }

  // By the thread that made it.
  [[nodiscard]] Status checkpoint() { return volume_->store().checkpoint(*io_); }
  // umount(8), then what the daemon does at its end.
  [[nodiscard]] Status unmount();

 private:
  std::filesystem::path mount_point_;
  blockio::RecordingDevice device_;
  std::unique_ptr<blockio::IoQueue> io_;
  std::unique_ptr<volume::Volume> volume_;
  std::unique_ptr<fuse::Edge> edge_;
  std::unique_ptr<fuse::Session> session_;
};

// Copies directories, regular files and symbolic links of a volume that nobody has mounted, with names and contents
// only.
[[nodiscard]] Status copy_out(volume::Volume& volume, volume::Context& context, const std::filesystem::path& target);

}  // namespace ashlar::mount_test
