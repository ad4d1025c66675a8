#include "fs/fuse/handshake.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse/uring_protocol.h"

namespace ashlar::fuse {

Result<std::span<std::byte>> Handshake::receive() {
  const std::span<std::byte> request = TRY(transport_->receive());
  fuse_in_header header{};
  fuse_init_in init{};
  if (request.size() < sizeof header) return request;
  std::memcpy(&header, request.data(), sizeof header);
  if (header.opcode != FUSE_INIT) return fail(ErrorCode::io_error, "the kernel does not begin with INIT");
  std::memcpy(&init, request.data() + sizeof header, std::min(sizeof init, request.size() - sizeof header));
  offered_ = init.flags;
  offered2_ = (init.flags & FUSE_INIT_EXT) != 0 ? init.flags2 : 0;
  return request;
}

ssize_t Handshake::send(std::span<const iovec> answer) {
  if (answer.size() != 2 || answer[1].iov_len != sizeof(fuse_init_out)) return transport_->send(answer);
  fuse_init_out init;
  std::memcpy(&init, answer[1].iov_base, sizeof init);
  init.flags |= offered_ & (FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT);
  if ((init.flags & FUSE_HANDLE_KILLPRIV_V2) != 0) init.flags &= ~static_cast<std::uint32_t>(FUSE_HANDLE_KILLPRIV);
  agreed_on_io_uring_ = want_io_uring_ && (offered2_ & kInitFlags2OverIoUring) != 0;
  if (agreed_on_io_uring_) init.flags2 |= kInitFlags2OverIoUring;
  const iovec parts[] = {answer[0], {&init, sizeof init}};
  return transport_->send(parts);
}

}  // namespace ashlar::fuse
