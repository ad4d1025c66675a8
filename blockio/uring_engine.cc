// The io_uring engine.
#include <fcntl.h>
#include <fmt/core.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "blockio/engine.h"

namespace ashlar::blockio {
namespace {

struct SetupStep {
  unsigned flags;
  const char* name;
};

// From the best to the plainest: completions run only when this thread asks for them, then without interrupting it,
// then as the kernel likes. Each needs a younger kernel than the next.
constexpr std::array kSetupLadder = {
    SetupStep{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "single_issuer,defer_taskrun"},
    SetupStep{IORING_SETUP_COOP_TASKRUN, "coop_taskrun"},
    SetupStep{0, "none"},
};

class UringEngine final : public Engine {
 public:
  explicit UringEngine(int descriptor) noexcept : descriptor_(descriptor) {}
  ~UringEngine() override {
    if (open_) io_uring_queue_exit(&ring_);
  }

  [[nodiscard]] int set_up(unsigned depth, unsigned flags) {
    io_uring_params parameters{};
    // Disabled at first, so that the ring belongs to the thread that first uses it and not to the one that made it.
    parameters.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    const int error = io_uring_queue_init_params(depth, &ring_, &parameters);
    open_ = error == 0;
    return error;
  }

  // A registered file spares the kernel a reference count for each operation; it is a help, not a need.
  [[nodiscard]] bool register_file() {
    fixed_ = io_uring_register_files(&ring_, &descriptor_, 1) == 0;
    return fixed_;
  }

  std::size_t start(std::span<Transfer* const> transfers) override {
    enable();
    std::size_t taken = 0;
    for (; taken < transfers.size(); ++taken) {
      io_uring_sqe* entry = io_uring_get_sqe(&ring_);
      if (entry == nullptr) break;
      prepare(*entry, *transfers[taken]);
    }
    // What the kernel does not take now stays in the submission ring and goes with the next enter, here or in reap().
    submit();
    return taken;
  }

  std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                   std::span<Transfer*> finished) override {
    if (min > 0 && io_uring_cq_ready(&ring_) < min) enter_and_wait(static_cast<unsigned>(min), timeout);
    if (min == 0) submit_and_get_events();
    std::size_t count = 0;
    io_uring_cqe* entry = nullptr;
    while (count < finished.size() && io_uring_peek_cqe(&ring_, &entry) == 0) {
      auto* transfer = static_cast<Transfer*>(io_uring_cqe_get_data(entry));
      transfer->result = entry->res;
      finished[count++] = transfer;
      io_uring_cqe_seen(&ring_, entry);
    }
    return count;
  }

 private:
  void prepare(io_uring_sqe& entry, Transfer& transfer) const {
    const int file = fixed_ ? 0 : descriptor_;
    const auto length = static_cast<off_t>(transfer.length);
    switch (transfer.kind) {
      case OpKind::read:
        if (transfer.segment_count == 1) {
          io_uring_prep_read(&entry, file, transfer.segments[0].iov_base, static_cast<unsigned>(transfer.length),
                             transfer.offset);
        } else {
          io_uring_prep_readv(&entry, file, transfer.segments, transfer.segment_count, transfer.offset);
        }
        break;
      case OpKind::write:
      case OpKind::write_durable:
        if (transfer.segment_count == 1) {
          io_uring_prep_write(&entry, file, transfer.segments[0].iov_base, static_cast<unsigned>(transfer.length),
                              transfer.offset);
        } else {
          io_uring_prep_writev(&entry, file, transfer.segments, transfer.segment_count, transfer.offset);
        }
        if (transfer.durable) entry.rw_flags = RWF_DSYNC;
        break;
      case OpKind::flush: io_uring_prep_fsync(&entry, file, IORING_FSYNC_DATASYNC); break;
      case OpKind::discard:
        io_uring_prep_fallocate(&entry, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(transfer.offset), length);
        break;
      case OpKind::write_zeroes:
        io_uring_prep_fallocate(&entry, file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(transfer.offset), length);
        break;
    }
    if (fixed_) entry.flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(&entry, &transfer);
  }

  void enable() {
    if (enabled_) return;
    // liburing 2.3 declares a call for this and does not export it.
    const long outcome = syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    check(outcome == 0 ? 0 : -errno);
    enabled_ = true;
  }

  // EAGAIN and EBUSY: the kernel is short of memory or of room for completions; the entries wait for the next enter.
  // EINTR and ETIME end a wait early; the caller asks again. Anything else means that the ring is used against its
  // contract (EEXIST: by two threads), and what the kernel holds of ours could never be reaped.
  static void check(int result) {
    switch (result) {
      case -EAGAIN:
      case -EBUSY:
      case -EINTR:
      case -ETIME: return;
      default:
        if (result >= 0) return;
        fmt::print(stderr, "io_uring_enter: {}\n", std::strerror(-result));
        std::abort();
    }
  }

  void submit() { check(io_uring_submit(&ring_)); }

  void submit_and_get_events() {
    if (io_uring_sq_ready(&ring_) != 0) submit();
    if (io_uring_cq_ready(&ring_) == 0) check(io_uring_get_events(&ring_));
  }

  void enter_and_wait(unsigned min, std::optional<std::chrono::nanoseconds> timeout) {
    io_uring_cqe* entry = nullptr;
    if (!timeout) {
      check(io_uring_submit_and_wait(&ring_, min));
      return;
    }
    __kernel_timespec limit{};
    limit.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(*timeout).count();
    limit.tv_nsec = (*timeout % std::chrono::seconds(1)).count();
    check(io_uring_submit_and_wait_timeout(&ring_, &entry, min, &limit, nullptr));
  }

  int descriptor_;
  bool fixed_ = false;
  bool open_ = false;
  bool enabled_ = false;
  io_uring ring_{};
};

}  // namespace

Result<std::unique_ptr<Engine>> open_uring_engine(int descriptor, const QueueConfig& config, std::string& flags) {
  int first_error = 0;
  for (const SetupStep& step : kSetupLadder) {
    auto engine = std::make_unique<UringEngine>(descriptor);
    const int error = engine->set_up(config.depth, step.flags);
    if (error == 0) {
      flags = step.name;
      if (engine->register_file()) flags += ",registered_file";
      return std::unique_ptr<Engine>(std::move(engine));
    }
    if (first_error == 0) first_error = -error;
    if (error != -EINVAL) break;  // only an unknown flag is worth another try
  }
  const char* hint = "";
  if (first_error == EPERM) hint = " (kernel.io_uring_disabled, or a seccomp filter such as a container's)";
  if (first_error == ENOSYS) hint = " (the kernel has no io_uring, or a seccomp filter hides it)";
  if (first_error == ENOMEM) hint = " (raise RLIMIT_MEMLOCK)";
  return fail(from_errno(first_error), fmt::format("io_uring_setup: {}{}", std::strerror(first_error), hint));
}

}  // namespace ashlar::blockio
