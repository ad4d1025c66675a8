#include "fs/fuse/uring_transport.h"

#include <fmt/core.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <string>

#include "blockio/command_queue.h"

namespace ashlar::fuse {
namespace {

constexpr const char* kSwitch = "/sys/module/fuse/parameters/enable_uring";
constexpr unsigned kMaxProcessors = 4096;

// For commands alone; one is under way at a time.
Result<std::unique_ptr<blockio::IoQueue>> open_own_queue(int fuse_descriptor) {
  blockio::QueueConfig config;
  config.depth = 1;
  config.commands_to = fuse_descriptor;
  std::unique_ptr<blockio::IoQueue> queue = TRY(blockio::open_command_queue(config));
  if (queue->takes_commands()) return queue;
  return fail(ErrorCode::not_supported, "this kernel's io_uring has no commands: " + queue->selection().dropped);
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

// Of the request, until its answer's is written over it.
fuse_in_header request_header(const UringHeaders& headers) noexcept {
  fuse_in_header header;
  std::memcpy(&header, headers.in_out, sizeof header);
  return header;
}

}  // namespace

unsigned count_processors(std::istream& list) {
  unsigned long count = 0;
  for (std::string range; std::getline(list, range, ',');) {
    char* after_first = nullptr;
    const unsigned long first = std::strtoul(range.c_str(), &after_first, 10);
    const unsigned long last = *after_first == '-' ? std::strtoul(after_first + 1, nullptr, 10) : first;
    if (first > last || last >= kMaxProcessors) break;
    count += last - first + 1;
  }
  return static_cast<unsigned>(std::clamp<unsigned long>(count, 1, kMaxProcessors));
}

unsigned uring_queue_count() {
  std::ifstream file("/sys/devices/system/cpu/possible");
  return count_processors(file);
}

Status probe_uring_transport(bool enable) {
  if (!std::ifstream(kSwitch)) return fail(ErrorCode::not_supported, "the kernel has no FUSE over io_uring");
  if (!is_switched_on() && enable) std::ofstream(kSwitch) << 'Y' << std::flush;
  if (!is_switched_on()) {
    return fail(ErrorCode::not_supported,
                fmt::format("FUSE over io_uring is switched off; as root: echo Y > {}", kSwitch));
  }
  // Any file does for a trial: none of its commands is used.
  return Status(open_own_queue(STDIN_FILENO).map([](auto&&) {}));
}

Result<std::unique_ptr<UringTransport>> UringTransport::create(blockio::IoQueue& io, const UringEntryPlace& place,
                                                               std::uint32_t block_size) {
  const std::size_t size = kPayloadOffset + kMaxTransfer + 2 * std::size_t{block_size};
  std::unique_ptr<UringTransport> transport(new UringTransport(place.queue, size));
  if (transport->headers_.empty() || transport->buffer_.empty()) return fail(ErrorCode::out_of_memory);
  if (!io.takes_commands()) transport->own_ = TRY(open_own_queue(place.fuse_descriptor));
  transport->io_ = transport->own_ ? transport->own_.get() : &io;
  return transport;
}

UringTransport::UringTransport(unsigned queue, std::size_t buffer_size)
    : queue_(queue), headers_(blockio::kBufferAlignment), buffer_(blockio::AlignedBuffer::in_huge_pages(buffer_size)) {}

std::span<std::byte> UringTransport::answer_space() noexcept { return buffer_.span().subspan(kPayloadOffset); }

Result<int> UringTransport::run(UringCommand command) {
  UringCommandRequest request{};
  request.queue = static_cast<std::uint16_t>(queue_);
  const bool registers = command == UringCommand::register_entry;
  if (registers) {
    areas_[0] = {headers_.data(), sizeof(UringHeaders)};
    areas_[1] = {payload(), kMaxTransfer};
  } else {
    request.commit_id = headers_in(headers_).entry.commit_id;
  }
  blockio::IoOp op = blockio::IoOp::command(static_cast<std::uint32_t>(command), std::as_bytes(std::span(&request, 1)),
                                            registers ? areas_ : nullptr, registers ? kAreas : 0);
  Status status = io_->run(op);
  if (!status && op.answer == 0) return fail(std::move(status).error());
  return op.answer;
}

Result<std::span<std::byte>> UringTransport::receive() {
  for (;;) {
    // What was not answered would make its caller wait for ever.
    if (unanswered_) answer_error(EIO);
    const int result = TRY(run(registered_ ? UringCommand::commit_and_fetch : UringCommand::register_entry));
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
  const fuse_in_header header = request_header(headers);
  const std::size_t payload_size = headers.entry.payload_size;
  if (payload_size > kMaxTransfer || header.len < sizeof header + payload_size) return fail(ErrorCode::io_error);
  const std::size_t operation_size = header.len - sizeof header - payload_size;
  if (operation_size > sizeof headers.operation) return fail(ErrorCode::io_error);
  std::byte* const begin = payload() - operation_size - sizeof header;
  std::memcpy(begin, &header, sizeof header);
  std::memcpy(begin + sizeof header, headers.operation, operation_size);
  return std::span<std::byte>(begin, header.len);
}

void UringTransport::answer_error(int error) noexcept {
  UringHeaders& headers = headers_in(headers_);
  const fuse_out_header answer{sizeof answer, -error, request_header(headers).unique};
  std::memcpy(headers.in_out, &answer, sizeof answer);
  headers.entry.payload_size = 0;
  unanswered_ = false;
}

ssize_t UringTransport::send(std::span<const iovec> answer) {
  UringHeaders& headers = headers_in(headers_);
  if (!unanswered_ || answer.empty() || answer[0].iov_len != sizeof(fuse_out_header)) return -EINVAL;
  fuse_out_header reply;
  std::memcpy(&reply, answer[0].iov_base, sizeof reply);
  if (reply.unique != request_header(headers).unique)
    return -ENOENT;  // as /dev/fuse refuses an answer to what it does not wait for
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
