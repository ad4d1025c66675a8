// Requests and answers through a ring: one system call answers a request and waits for the next, and the kernel hands
// it to a worker of the processor it came from. Method: kernel documentation, fuse-io-uring.
#pragma once

#include <iosfwd>
#include <memory>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/fuse/transport.h"
#include "fs/fuse/uring_protocol.h"

namespace ashlar::fuse {

// How many a list like "0-3,8" names; at least one.
[[nodiscard]] unsigned count_processors(std::istream& list);

// The kernel keeps a queue of requests for every processor it could have, and needs an entry in each.
[[nodiscard]] unsigned uring_queue_count();

// Whether the kernel can speak it and would: ok, or why not in words for people. With `enable`, a kernel where it is
// merely switched off is told to switch it on (for all mounts from then on; needs root).
[[nodiscard]] Status probe_uring_transport(bool enable);

// In which of the kernel's queues, of which connection.
struct UringEntryPlace {
  int fuse_descriptor;
  unsigned queue;
};

// Offers the kernel one entry in one queue.
class UringTransport final : public Transport {
 public:
  // To be called after the INIT handshake has agreed on the protocol; the first receive() registers the entry. Commands
  // go through `io` where that takes them to the connection, and otherwise (AIO) through a ring of the transport's own.
  [[nodiscard]] static Result<std::unique_ptr<UringTransport>> create(blockio::IoQueue& io,
                                                                      const UringEntryPlace& place,
                                                                      std::uint32_t block_size);

  [[nodiscard]] Result<std::span<std::byte>> receive() override;
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override;
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override;
  [[nodiscard]] const std::byte* request() const noexcept override { return request_.data(); }

 private:
  UringTransport(unsigned queue, std::size_t buffer_size);
  // Waits for what the kernel says to it: 0, or -errno.
  [[nodiscard]] Result<int> run(UringCommand command);
  // Moves the headers to where they precede the payload, and checks the sizes.
  [[nodiscard]] Result<std::span<std::byte>> assemble_request();
  void answer_error(int error) noexcept;
  [[nodiscard]] std::byte* payload() noexcept { return buffer_.data() + kPayloadOffset; }

  // Room for the headers, which libfuse wants before the payload in one piece.
  static constexpr std::size_t kPayloadOffset = blockio::kBufferAlignment;

  const unsigned queue_;
  blockio::IoQueue* io_ = nullptr;
  std::unique_ptr<blockio::IoQueue> own_;  // behind io_ where the worker's does not do
  bool registered_ = false;
  bool unanswered_ = false;
  blockio::AlignedBuffer headers_;
  blockio::AlignedBuffer buffer_;
  static constexpr std::uint32_t kAreas = 2;
  iovec areas_[kAreas]{};  // of headers and payload, read by the kernel when the entry is registered
  std::span<std::byte> request_;
};

}  // namespace ashlar::fuse
