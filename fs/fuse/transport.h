// How requests come from the kernel and answers go back: the seam between a worker and the two protocols.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>

#include "fs/base/result.h"

namespace ashlar::fuse {

// The largest READ and WRITE, in bytes.
inline constexpr std::size_t kMaxTransfer = 1U << 20;

enum class TransportKind : std::uint8_t { dev, io_uring };
enum class TransportChoice : std::uint8_t { automatic, dev, io_uring };

// Serves one request at a time; made and used by one thread.
class Transport {
 public:
  virtual ~Transport() = default;

  // Waits for the next request and returns it in one piece: the header, what belongs to the operation, the payload. A
  // WRITE's payload begins on a page. Empty when the connection has ended. The bytes stay until the next call. An
  // answer given before may leave only with this call.
  [[nodiscard]] virtual Result<std::span<std::byte>> receive() = 0;

  // Answers the request received last: a fuse_out_header, then what belongs to it. Returns its size, or -errno (libfuse
  // looks at the sign).
  [[nodiscard]] virtual ssize_t send(std::span<const iovec> answer) = 0;

  // Page-aligned memory for what a READ answers: kMaxTransfer and two blocks. An answer that begins there is not
  // copied by the transport.
  [[nodiscard]] virtual std::span<std::byte> answer_space() noexcept = 0;

  // The request received last, for fields that libfuse does not hand on.
  [[nodiscard]] virtual const std::byte* request() const noexcept = 0;
};

}  // namespace ashlar::fuse
