// Opening a real device: a block device or an image file.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "blockio/block_device.h"
#include "blockio/engine.h"
#include "blockio/helper_threads.h"

namespace ashlar::blockio {

struct DeviceOptions {
  bool read_only = false;
  // Nobody else has it open for a volume: an OFD lock (shared when read_only) on it and on the file behind a loop
  // device, and O_EXCL on a block device, which keeps mounts of other filesystems away as well. Without it the contents
  // may change underneath.
  bool exclusive = true;
  // How long to wait for a lock whose holder is just finishing.
  std::uint32_t lock_wait_ms = 0;
  std::uint64_t window_offset = 0;  // bytes; the volume begins here
  std::uint64_t window_size = 0;    // 0: to the end
};

// A block device or image file, always with O_DIRECT; open_device() makes one.
class FileDevice final : public BlockDevice {
 public:
  ~FileDevice() override;

  [[nodiscard]] const Geometry& geometry() const noexcept override { return geometry_; }
  [[nodiscard]] const std::string& name() const noexcept override { return path_; }

  // The engine is as the config says, tried out with a real read the first time; automatic tries io_uring each time and
  // falls back to AIO. An engine that was asked for and cannot be had is an error that says why, and so is a Wish that
  // is required.
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) override;

  // What open_queue would take, and why; resolves `automatic` once so that every queue is of the same kind.
  [[nodiscard]] Result<EngineSelection> select_engine(const QueueConfig& config);

  // The bytes that the window has by now: a device or image may have grown or shrunk. geometry() stays what it was.
  [[nodiscard]] Result<std::uint64_t> current_size() const;
  [[nodiscard]] Result<std::uint64_t> measure() override;
  [[nodiscard]] Status extend(std::uint64_t size) override;

  // Gives up the claim on a block device so that the kernel can take its own (fuseblk mounts); reading and writing go
  // on. No effect on an image file.
  void release_exclusive();
  // Takes the claim again, when the kernel did not: busy when somebody else has the device by now.
  [[nodiscard]] Status claim_exclusive();

  [[nodiscard]] bool is_block_device() const noexcept { return blockio::is_block_device(geometry_.kind); }

 private:
  friend Result<std::unique_ptr<FileDevice>> open_device(const std::string& path, const DeviceOptions& options);
  FileDevice(std::string path, int descriptor, const DeviceOptions& options);
  [[nodiscard]] Status learn_geometry();
  [[nodiscard]] Status lock_backing_file();
  [[nodiscard]] Status probe(Engine& engine) const;
  // A configuration without `automatic` and without what the device cannot do, and what a trial with it came to.
  struct Resolved {
    QueueConfig config;
    EngineSelection selection;
    std::string dropped;
  };
  [[nodiscard]] Result<EngineSelection> try_engine(const QueueConfig& config) const;
  [[nodiscard]] Result<Resolved> resolve(const QueueConfig& config);
  [[nodiscard]] Result<Resolved> resolve_aio(const QueueConfig& config, std::string uring_refusal);
  [[nodiscard]] Result<OpenedEngine> open_engine(const Resolved& resolved) const;

  std::string path_;
  int descriptor_;
  int backing_ = -1;  // of a loop device: the file behind it, locked
  int claim_ = -1;    // of a block device: opened O_EXCL, and for nothing else
  DeviceOptions options_;
  Geometry geometry_;
  // Engines that did a trial read.
  std::atomic<bool> uring_works_{false};
  std::atomic<bool> aio_works_{false};
  HelperThreads helpers_;  // of all queues
};

// Errors carry a line that names the path and says what to do: not_found, access_denied, busy (somebody else holds it),
// invalid_argument (neither block device nor regular file, no direct I/O there, or a window that does not fit).
[[nodiscard]] Result<std::unique_ptr<FileDevice>> open_device(const std::string& path, const DeviceOptions& options);

}  // namespace ashlar::blockio
