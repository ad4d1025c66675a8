#include "fs/fuse/dev_transport.h"

#include <fmt/core.h>
#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>

namespace ashlar::fuse {
namespace {

static_assert(sizeof(fuse_in_header) + sizeof(fuse_write_in) == 80);

// libfuse reads up to its own buffer size: the largest payload and a page for headers.
constexpr std::size_t kRequestSize = kMaxTransfer + 2 * blockio::kBufferAlignment;

}  // namespace

Result<std::unique_ptr<DevTransport>> DevTransport::create(fuse_session* session, std::uint32_t block_size) {
  std::unique_ptr<DevTransport> transport(new DevTransport(session, block_size));
  if (transport->buffer_.empty()) return fail(ErrorCode::out_of_memory);
  return transport;
}

DevTransport::DevTransport(fuse_session* session, std::uint32_t block_size)
    : session_(session),
      buffer_(blockio::AlignedBuffer::in_huge_pages(
          std::max(kRequestOffset + kRequestSize, kAnswerOffset + kMaxTransfer + 2 * std::size_t{block_size}))) {}

Result<std::span<std::byte>> DevTransport::receive() {
  while (fuse_session_exited(session_) == 0) {
    fuse_buf buffer{};
    buffer.mem = buffer_.data() + kRequestOffset;
    const int received = fuse_session_receive_buf(session_, &buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received < 0) return fail(from_errno(-received), "receiving a request");
    return std::span<std::byte>(buffer_.data() + kRequestOffset, static_cast<std::size_t>(received));
  }
  return std::span<std::byte>();
}

ssize_t DevTransport::send(std::span<const iovec> answer) {
  const ssize_t written = writev(fuse_session_fd(session_), answer.data(), static_cast<int>(answer.size()));
  return written < 0 ? -errno : written;
}

}  // namespace ashlar::fuse
