#include "blockio/waker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace ashlar::blockio {

Result<std::unique_ptr<Waker>> Waker::create() {
  const int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor < 0) return fail(from_errno(errno), "eventfd");
  return std::unique_ptr<Waker>(new Waker(descriptor));
}

Waker::~Waker() { ::close(descriptor_); }

void Waker::wake() noexcept {
  called_.store(true);
  ring();
}

void Waker::ring() noexcept {
  if (rung_.exchange(true)) return;
  // Cannot fail: the counter holds at most 1.
  static_cast<void>(eventfd_write(descriptor_, 1));
}

bool Waker::take() noexcept {
  eventfd_t value = 0;
  static_cast<void>(eventfd_read(descriptor_, &value));
  // In this order: what is rung from here on makes the descriptor readable again.
  rung_.store(false);
  return called_.exchange(false);
}

}  // namespace ashlar::blockio
