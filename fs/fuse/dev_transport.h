// Requests read from /dev/fuse, answers written to it.
#pragma once

#include <fuse_lowlevel.h>

#include <memory>

#include "blockio/aligned_buffer.h"
#include "fs/fuse/transport.h"

namespace ashlar::fuse {

class DevTransport : public Transport {
 public:
  // The session outlives the transport.
  [[nodiscard]] static Result<std::unique_ptr<DevTransport>> create(fuse_session* session, std::uint32_t block_size);

  [[nodiscard]] Result<std::span<std::byte>> receive() override;
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override;
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override { return answer_.span(); }
  [[nodiscard]] const std::byte* request() const noexcept override { return request_.data() + kRequestOffset; }
  [[nodiscard]] std::size_t request_capacity() const noexcept { return request_.size() - kRequestOffset; }

 private:
  // Behind the two headers of a WRITE (fuse_in_header and fuse_write_in) the payload begins on a page.
  static constexpr std::size_t kRequestOffset = blockio::kBufferAlignment - 80;

  DevTransport(fuse_session* session, std::size_t answer_size);

  fuse_session* session_;
  blockio::AlignedBuffer request_;
  blockio::AlignedBuffer answer_;
};

}  // namespace ashlar::fuse
