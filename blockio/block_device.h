// A device that holds a volume: a block device or an image file, or a double of one.
#pragma once

#include <memory>
#include <string>

#include "blockio/geometry.h"
#include "blockio/io_queue.h"
#include "blockio/queue_config.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// Thread-safe; outlives its queues.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;

  [[nodiscard]] virtual const Geometry& geometry() const noexcept = 0;
  // For messages: the path as the user gave it.
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;

  // A queue for the thread that will submit to it.
  [[nodiscard]] virtual Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) = 0;

 protected:
  BlockDevice() = default;
};

}  // namespace ashlar::blockio
