// What a thread that serves requests owns, and how an operation finds it.
#pragma once

#include <fuse_lowlevel.h>

#include <memory>

#include "blockio/aligned_buffer.h"
#include "blockio/block_device.h"
#include "fs/base/result.h"
#include "fs/volume/types.h"
#include "fs/volume/volume.h"

namespace ashlar::fuse {

// The largest READ and WRITE, in bytes.
inline constexpr std::size_t kMaxTransfer = 1U << 20;

// One thread's queue and buffers. Made and used by that thread alone.
class Worker {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Worker>> create(blockio::BlockDevice& device,
                                                              const blockio::QueueConfig& config,
                                                              std::uint32_t block_size);

  [[nodiscard]] blockio::IoQueue& io() noexcept { return *io_; }

  // Where a request is received: behind the two headers of a WRITE the payload begins on a page.
  [[nodiscard]] std::byte* request() noexcept { return request_.data() + kRequestOffset; }
  [[nodiscard]] std::size_t request_capacity() const noexcept { return request_.size() - kRequestOffset; }

  // Where the device puts what a READ answers.
  [[nodiscard]] blockio::AlignedBuffer& answer() noexcept { return answer_; }

  // The worker that runs on the calling thread. An operation is called by libfuse, which hands on no context of the
  // thread's.
  [[nodiscard]] static Worker& current() noexcept;
  class Scope {
   public:
    explicit Scope(Worker& worker) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

 private:
  static constexpr std::size_t kRequestOffset = blockio::kBufferAlignment - 80;  // fuse_in_header and fuse_write_in

  Worker(std::unique_ptr<blockio::IoQueue> io, std::size_t answer_size);

  std::unique_ptr<blockio::IoQueue> io_;
  blockio::AlignedBuffer request_;
  blockio::AlignedBuffer answer_;
};

}  // namespace ashlar::fuse
