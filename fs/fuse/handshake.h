// The INIT request, and what its answer says beyond what libfuse 3.14 can say.
#pragma once

#include "fs/fuse/dev_transport.h"

namespace ashlar::fuse {

// Receives and answers exactly one request, INIT, adding to libfuse's answer what the kernel offers and we want:
// suid, sgid and capabilities are cleared here, so that the kernel does not ask for security.capability before every
// write (HANDLE_KILLPRIV_V2), and requests through a ring.
class Handshake final : public Transport {
 public:
  Handshake(std::unique_ptr<DevTransport> transport, bool want_io_uring)
      : transport_(std::move(transport)), want_io_uring_(want_io_uring) {}

  [[nodiscard]] Result<std::span<std::byte>> receive() override;
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override;
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override { return transport_->answer_space(); }
  [[nodiscard]] const std::byte* request() const noexcept override { return transport_->request(); }

  // Whether the kernel will send requests through rings from now on.
  [[nodiscard]] bool agreed_on_io_uring() const noexcept { return agreed_on_io_uring_; }

 private:
  std::unique_ptr<DevTransport> transport_;
  const bool want_io_uring_;
  std::uint32_t offered_ = 0;   // flags of the request
  std::uint32_t offered2_ = 0;  // its second word of flags
  bool agreed_on_io_uring_ = false;
};

}  // namespace ashlar::fuse
