// Requests read from /dev/fuse, answers written to it.
#pragma once

#include <fuse_lowlevel.h>
#include <linux/limits.h>

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
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override { return buffer_.span().subspan(kAnswerOffset); }
  [[nodiscard]] const std::byte* request() const noexcept override { return buffer_.data() + kRequestOffset; }
  [[nodiscard]] std::size_t request_capacity() const noexcept { return buffer_.size() - kRequestOffset; }

 private:
  // Behind the two headers of a WRITE (fuse_in_header and fuse_write_in) the payload begins on a page.
  static constexpr std::size_t kRequestOffset = blockio::kBufferAlignment - 80;
  // A request that is answered with much is short itself, so both have room in one huge page. The longest but WRITE and
  // FORGET, which have no such answer, is SETXATTR: 64 KiB and its headers.
  static constexpr std::size_t kAnswerOffset = 128U << 10;
  static_assert(kAnswerOffset >= kRequestOffset + blockio::kBufferAlignment + XATTR_SIZE_MAX);

  DevTransport(fuse_session* session, std::uint32_t block_size);

  fuse_session* session_;
  blockio::AlignedBuffer buffer_;
};

}  // namespace ashlar::fuse
