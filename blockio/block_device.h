// A device that holds a volume: a block device or an image file, or a double of one.
#pragma once

#include <memory>
#include <string>

#include "blockio/geometry.h"
#include "blockio/io_queue.h"
#include "blockio/queue_config.h"
#include "blockio/queue_ledger.h"
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

  // Asks for the size anew. Where the device or image has grown, geometry().size and with it all queues follow at once.
  // One that has shrunk by now is told, and geometry() stays: transfers beyond its end fail by themselves.
  [[nodiscard]] virtual Result<std::uint64_t> measure() = 0;
  // Makes an image file that many bytes long, durably; one that is as long already stays. device_too_small for what
  // cannot be made longer: a block device, and a window that ends before.
  [[nodiscard]] virtual Status extend(std::uint64_t size) = 0;

  // A queue for the thread that will submit to it.
  [[nodiscard]] virtual Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) = 0;

  // Adds what all of its queues did since it was opened, those included that are closed.
  virtual void add_statistics_to(QueueStatistics& sum) const { ledger_.add_to(sum); }

 protected:
  BlockDevice() = default;

  // For open_queue(): a new queue, its figures counted.
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> enrolled(Result<std::unique_ptr<IoQueue>> queue) {
    if (queue) ledger_.enroll(**queue);
    return queue;
  }

 private:
  QueueLedger ledger_;
};

}  // namespace ashlar::blockio
