// Requests and answers through a ring: one system call answers a request and waits for the next, and the kernel hands
// it to a worker of the processor it came from. Method: kernel documentation, fuse-io-uring.
#pragma once

#include <liburing.h>

#include <memory>
#include <string>

#include "blockio/aligned_buffer.h"
#include "fs/fuse/transport.h"
#include "fs/fuse/uring_protocol.h"

namespace ashlar::fuse {

// The kernel keeps a queue of requests for every processor it could have, and needs an entry in each.
[[nodiscard]] unsigned uring_queue_count();

// Whether the kernel can speak it and would: ok, or why not in words for people. With `enable`, a kernel where it is
// merely switched off is told to switch it on (for all mounts from then on; needs root).
[[nodiscard]] Status probe_uring_transport(bool enable);

// Offers the kernel one entry in one queue.
class UringTransport final : public Transport {
 public:
  // To be called after the INIT handshake has agreed on the protocol; the first receive() registers the entry.
  [[nodiscard]] static Result<std::unique_ptr<UringTransport>> create(int fuse_descriptor, unsigned queue,
                                                                      std::uint32_t block_size);
  ~UringTransport() override;
  UringTransport(const UringTransport&) = delete;
  UringTransport& operator=(const UringTransport&) = delete;

  [[nodiscard]] Result<std::span<std::byte>> receive() override;
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override;
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override;
  [[nodiscard]] const std::byte* request() const noexcept override { return request_.data(); }

 private:
  UringTransport(int fuse_descriptor, unsigned queue, std::size_t buffer_size);
  [[nodiscard]] Status submit(UringCommand command);
  // Waits for the kernel's next completion and returns its result.
  [[nodiscard]] Result<int> wait();
  // Moves the headers to where they precede the payload, and checks the sizes.
  [[nodiscard]] Result<std::span<std::byte>> assemble_request();
  void answer_error(int error) noexcept;
  [[nodiscard]] std::byte* payload() noexcept { return buffer_.data() + kPayloadOffset; }

  // Room for the headers, which libfuse wants before the payload in one piece.
  static constexpr std::size_t kPayloadOffset = blockio::kBufferAlignment;

  const int fuse_descriptor_;
  const unsigned queue_;
  io_uring ring_{};
  bool ring_open_ = false;
  bool registered_ = false;
  bool unanswered_ = false;
  blockio::AlignedBuffer headers_;
  blockio::AlignedBuffer buffer_;
  iovec areas_[2]{};  // of headers and payload, read by the kernel when the entry is registered
  std::span<std::byte> request_;
};

}  // namespace ashlar::fuse
