// Lets requests be served until the volume is finished.
#pragma once

#include <atomic>
#include <cstdint>

namespace ashlar::fuse {

// Thread-safe.
class RequestGate {
 public:
  // One request's way through, from before it is served until it is answered.
  class Pass {
   public:
    explicit Pass(RequestGate& gate) noexcept : gate_(gate), granted_(gate.enter()) {}
    ~Pass() {
      if (granted_) gate_.leave();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    // False once the gate is closed: the request must not touch the volume.
    explicit operator bool() const noexcept { return granted_; }

   private:
    RequestGate& gate_;
    bool granted_;
  };

  // By who has a pass: nobody gets one any more, and when it returns, the caller's is the only one left. False, at
  // once, when somebody has closed it before.
  [[nodiscard]] bool close() noexcept;

 private:
  static constexpr std::uint64_t kClosed = 1ULL << 63;

  [[nodiscard]] bool enter() noexcept;
  void leave() noexcept;

  std::atomic<std::uint64_t> inside_{0};  // passes; kClosed besides
};

}  // namespace ashlar::fuse
