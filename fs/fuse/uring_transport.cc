#include "fs/fuse/uring_transport.h"

#include <fmt/core.h>
#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace ashlar::fuse {
namespace {

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";
constexpr unsigned kRingDepth = 4;  // one entry, one submission under way
constexpr unsigned kMaxProcessors = 4096;

Status open_ring(io_uring& ring) {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int outcome = io_uring_queue_init_params(kRingDepth, &ring, &parameters);
  if (outcome < 0) return fail(from_errno(-outcome), fmt::format("io_uring_setup: {}", std::strerror(-outcome)));
  return {};
}

bool is_switched_on() {
  std::ifstream file(kSwitch);
  char value = 'N';
  file >> value;
  return file && (value == 'Y' || value == '1');
}

UringHeaders& headers_in(blockio::AlignedBuffer& buffer) noexcept {
  return *reinterpret_cast<UringHeaders*>(buffer.data());
}

}  // namespace

unsigned uring_queue_count() {
  // "0-3", or "0-1,4-7": the last number tells.
  std::ifstream file("/sys/devices/system/cpu/possible");
  std::string list;
  file >> list;
  const std::size_t last = list.find_last_of("-,");
  const unsigned long highest = std::strtoul(list.c_str() + (last == std::string::npos ? 0 : last + 1), nullptr, 10);
  return static_cast<unsigned>(std::min<unsigned long>(highest, kMaxProcessors - 1)) + 1;
}

Status probe_uring_transport(bool enable) {
  if (!std::ifstream(kSwitch)) return fail(ErrorCode::not_supported, "the kernel has no FUSE over io_uring");
  if (!is_switched_on() && enable) std::ofstream(kSwitch) << 'Y' << std::flush;
  if (!is_switched_on()) {
    return fail(ErrorCode::not_supported,
                fmt::format("FUSE over io_uring is switched off; as root: echo Y > {}", kSwitch));
  }
  io_uring ring{};
  TRY(open_ring(ring));
  io_uring_queue_exit(&ring);
  return {};
}

Result<std::unique_ptr<UringTransport>> UringTransport::create(int fuse_descriptor, unsigned queue,
                                                               std::uint32_t block_size) {
  const std::size_t size = kPayloadOffset + kMaxTransfer + 2 * std::size_t{block_size};
  std::unique_ptr<UringTransport> transport(new UringTransport(fuse_descriptor, queue, size));
  if (transport->headers_.empty() || transport->buffer_.empty()) return fail(ErrorCode::out_of_memory);
  TRY(open_ring(transport->ring_));
  transport->ring_open_ = true;
  return transport;
}

UringTransport::UringTransport(int fuse_descriptor, unsigned queue, std::size_t buffer_size)
    : fuse_descriptor_(fuse_descriptor),
      queue_(queue),
      headers_(blockio::kBufferAlignment),
      buffer_(blockio::AlignedBuffer::in_huge_pages(buffer_size)) {}

UringTransport::~UringTransport() {
  if (ring_open_) io_uring_queue_exit(&ring_);
}

std::span<std::byte> UringTransport::answer_space() noexcept { return buffer_.span().subspan(kPayloadOffset); }

Status UringTransport::submit(UringCommand command) {
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return fail(ErrorCode::io_error, "no room in the ring");
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, fuse_descriptor_, nullptr, 0, 0);
  entry->cmd_op = static_cast<std::uint32_t>(command);
  UringCommandRequest request{};
  request.queue = static_cast<std::uint16_t>(queue_);
  if (command == UringCommand::register_entry) {
    areas_[0] = {headers_.data(), sizeof(UringHeaders)};
    areas_[1] = {payload(), kMaxTransfer};
    entry->addr = reinterpret_cast<std::uint64_t>(areas_);
    entry->len = 2;
  } else {
    request.commit_id = headers_in(headers_).entry.commit_id;
  }
  std::memcpy(reinterpret_cast<std::byte*>(entry) + offsetof(io_uring_sqe, cmd), &request, sizeof request);
  return {};
}

Result<int> UringTransport::wait() {
  for (;;) {
    const int submitted = io_uring_submit_and_wait(&ring_, 1);
    if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY) {
      return fail(from_errno(-submitted), "waiting for a request");
    }
    io_uring_cqe* completion = nullptr;
    if (io_uring_peek_cqe(&ring_, &completion) != 0) continue;
    const int result = completion->res;
    io_uring_cqe_seen(&ring_, completion);
    return result;
  }
}

Result<std::span<std::byte>> UringTransport::receive() {
  for (;;) {
    // What was not answered would make its caller wait for ever.
    if (unanswered_) answer_error(EIO);
    TRY(submit(registered_ ? UringCommand::commit_and_fetch : UringCommand::register_entry));
    const int result = TRY(wait());
    if (result == -ENOTCONN || result == -ECONNABORTED || result == -ECANCELED) return std::span<std::byte>();
    if (result < 0) return fail(from_errno(-result), "FUSE over io_uring");
    registered_ = true;
    unanswered_ = true;
    const auto request = assemble_request();
    if (!request) continue;  // answered with EIO
    request_ = *request;
    return request_;
  }
}

Result<std::span<std::byte>> UringTransport::assemble_request() {
  const UringHeaders& headers = headers_in(headers_);
  fuse_in_header header;
  std::memcpy(&header, headers.in_out, sizeof header);
  const std::size_t payload_size = headers.entry.payload_size;
  if (payload_size > kMaxTransfer || header.len < sizeof header + payload_size) return fail(ErrorCode::io_error);
  const std::size_t operation_size = header.len - sizeof header - payload_size;
  if (operation_size > sizeof headers.operation) return fail(ErrorCode::io_error);
  std::byte* const begin = payload() - operation_size - sizeof header;
  std::memcpy(begin, headers.in_out, sizeof header);
  std::memcpy(begin + sizeof header, headers.operation, operation_size);
  return std::span<std::byte>(begin, header.len);
}

void UringTransport::answer_error(int error) noexcept {
  UringHeaders& headers = headers_in(headers_);
  fuse_in_header request;
  std::memcpy(&request, headers.in_out, sizeof request);
  const fuse_out_header answer{sizeof answer, -error, request.unique};
  std::memcpy(headers.in_out, &answer, sizeof answer);
  headers.entry.payload_size = 0;
  unanswered_ = false;
}

ssize_t UringTransport::send(std::span<const iovec> answer) {
  UringHeaders& headers = headers_in(headers_);
  if (!unanswered_ || answer.empty() || answer[0].iov_len != sizeof(fuse_out_header)) return -EINVAL;
  fuse_in_header request;
  fuse_out_header reply;
  std::memcpy(&request, headers.in_out, sizeof request);
  std::memcpy(&reply, answer[0].iov_base, sizeof reply);
  if (reply.unique != request.unique) return -ENOENT;  // as /dev/fuse refuses an answer to what it does not wait for
  std::size_t size = 0;
  for (const iovec& part : answer.subspan(1)) {
    if (part.iov_len > kMaxTransfer - size) return -EINVAL;
    if (part.iov_base != payload() + size && part.iov_len != 0) {
      std::memmove(payload() + size, part.iov_base, part.iov_len);
    }
    size += part.iov_len;
  }
  std::memcpy(headers.in_out, &reply, sizeof reply);
  headers.entry.payload_size = static_cast<std::uint32_t>(size);
  unanswered_ = false;
  return static_cast<ssize_t>(sizeof(fuse_out_header) + size);
}

}  // namespace ashlar::fuse
