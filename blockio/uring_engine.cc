// The io_uring engine.
#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "blockio/buffer_pool.h"
#include "blockio/engine.h"
#include "blockio/kernel_forms.h"
#include "blockio/ring_setup.h"

namespace ashlar::blockio {
namespace {

using Clock = std::chrono::steady_clock;

class UringEngine final : public Engine {
 public:
  explicit UringEngine(int descriptor) noexcept : descriptor_(descriptor) {}
  ~UringEngine() override {
    if (open_) tear_down_ring(ring_);
  }

  [[nodiscard]] Status set_up(const QueueConfig& config, EngineSelection& selection) {
    RingOutcome outcome = TRY(set_up_ring(ring_, config));
    open_ = true;
    polled_ = (outcome.flags & IORING_SETUP_IOPOLL) != 0;
    if ((outcome.flags & IORING_SETUP_SQE128) != 0) commands_to_ = config.commands_to;
    enabled_ = (outcome.flags & IORING_SETUP_R_DISABLED) == 0;
    selection.engine = EngineChoice::io_uring;
    selection.depth = config.depth;
    selection.flags = std::move(outcome.names);
    selection.dropped = std::move(outcome.dropped);
    if (config.register_file) note(selection, "registered_file", register_files());
    if (config.buffers != nullptr) note(selection, "registered_buffers", register_buffers(*config.buffers));
    // A child of this process must not find the ring in its memory.
    if (const int error = -io_uring_ring_dontfork(&ring_); error != 0) note(selection, "dontfork", error);
    cancels_.reserve(config.depth + 1);
    return {};
  }

  // A polled ring does nothing but transfers.
  bool handles(OpKind kind) const noexcept override {
    if (kind == OpKind::compute || (kind == OpKind::command && commands_to_ < 0)) return false;
    return !polled_ || is_transfer(kind);
  }

  std::size_t start(std::span<Transfer* const> transfers) override {
    std::size_t taken = 0;
    for (; taken < transfers.size(); ++taken) {
      io_uring_sqe* const entry = free_entry();
      if (entry == nullptr) break;
      prepare(*entry, *transfers[taken]);
    }
    return taken;
  }

  // What the kernel does not take now stays in the submission ring and goes with the next call.
  void kick() override {
    if (io_uring_sq_ready(&ring_) != 0 && enable()) check("io_uring_enter", io_uring_submit(&ring_));
  }

  std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                   std::span<Transfer*> finished) override {
    if (!enable()) return 0;
    if (!cancels_.empty()) {
      send_cancels();
      // The wait might be one for what those that are left would end.
      if (!cancels_.empty()) timeout = std::min(timeout.value_or(kShortageDelay), kShortageDelay);
    }
    if (min > io_uring_cq_ready(&ring_)) {
      enter_and_wait(static_cast<unsigned>(min), timeout);
    } else {
      kick();
      if (io_uring_cq_ready(&ring_) == 0) check("io_uring_enter", io_uring_get_events(&ring_));
    }
    std::array<io_uring_cqe*, kReapBatch> entries;
    const auto room = static_cast<unsigned>(std::min<std::size_t>(finished.size(), entries.size()));
    const unsigned ready = io_uring_peek_batch_cqe(&ring_, entries.data(), room);
    std::size_t count = 0;
    for (unsigned i = 0; i < ready; ++i) {
      auto* const transfer = static_cast<Transfer*>(io_uring_cqe_get_data(entries[i]));
      if (transfer == nullptr) continue;  // the answer to a cancellation
      transfer->result = entries[i]->res;
      if (!cancels_.empty()) std::erase(cancels_, transfer);
      finished[count++] = transfer;
    }
    io_uring_cq_advance(&ring_, ready);
    return count;
  }

  void cancel(Transfer& transfer) override {
    cancels_.push_back(&transfer);
    send_cancels();
    kick();
  }

  int ring_descriptor() const noexcept override { return ring_.ring_fd; }

 private:
  static void note(EngineSelection& selection, const char* what, int error) {
    std::string& list = error == 0 ? selection.flags : selection.dropped;
    if (error == 0 && list == "none") list.clear();
    if (!list.empty()) list += error == 0 ? "," : "; ";
    list += error == 0 ? what : fmt::format("{} ({})", what, std::strerror(error));
  }

  // Both are a help, not a need; 0 or an errno.
  int register_files() {
    std::array<int, 2> files{descriptor_, commands_to_};  // -1: no file
    const int error = -io_uring_register_files(&ring_, files.data(), commands_to_ < 0 ? 1 : 2);
    fixed_files_ = error == 0;
    return error;
  }
  int register_buffers(const BufferPool& pool) {
    const iovec all{pool.memory().data(), pool.memory().size()};
    const int error = -io_uring_register_buffers(&ring_, &all, 1);
    if (error == 0) registered_ = pool.memory();
    return error;
  }

  io_uring_sqe* free_entry() {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr) return entry;
    kick();
    return io_uring_get_sqe(&ring_);
  }

  // As far as there is room; reap() sends the others.
  void send_cancels() {
    while (!cancels_.empty()) {
      io_uring_sqe* const entry = free_entry();
      if (entry == nullptr) return;
      io_uring_prep_cancel(entry, cancels_.back(), 0);
      io_uring_sqe_set_data(entry, nullptr);
      cancels_.pop_back();
    }
  }

  [[nodiscard]] bool is_registered(const iovec& memory) const noexcept {
    const auto* const begin = static_cast<const std::byte*>(memory.iov_base);
    return !registered_.empty() && std::greater_equal<>()(begin, registered_.data()) &&
           std::less_equal<>()(begin + memory.iov_len, registered_.data() + registered_.size());
  }

  void prepare_transfer(io_uring_sqe& entry, int file, const Transfer& transfer) const {
    const bool reads = transfer.kind == OpKind::read;
    const iovec& memory = transfer.segments[0];
    const auto length = static_cast<unsigned>(transfer.length);
    if (transfer.segment_count != 1) {
      (reads ? io_uring_prep_readv : io_uring_prep_writev)(&entry, file, transfer.segments, transfer.segment_count,
                                                           transfer.offset);
    } else if (!is_registered(memory)) {
      reads ? io_uring_prep_read(&entry, file, memory.iov_base, length, transfer.offset)
            : io_uring_prep_write(&entry, file, memory.iov_base, length, transfer.offset);
    } else {
      reads ? io_uring_prep_read_fixed(&entry, file, memory.iov_base, length, transfer.offset, 0)
            : io_uring_prep_write_fixed(&entry, file, memory.iov_base, length, transfer.offset, 0);
    }
    if (transfer.durable) entry.rw_flags = RWF_DSYNC;
  }

  // The entry is a wide one: what lies behind it is the command's too.
  void prepare_command(io_uring_sqe& entry, const IoOp& op) const {
    io_uring_prep_rw(IORING_OP_URING_CMD, &entry, fixed_files_ ? kCommandFile : commands_to_, op.single.iov_base,
                     static_cast<unsigned>(op.single.iov_len), 0);
    entry.cmd_op = op.code;
    auto* const bytes = reinterpret_cast<std::byte*>(&entry) + offsetof(io_uring_sqe, cmd);
    const auto end = std::copy(op.bytes.begin(), op.bytes.end(), bytes);
    std::fill(end, bytes + kMaxCommand, std::byte{0});
  }

  void prepare(io_uring_sqe& entry, Transfer& transfer) const {
    const int file = fixed_files_ ? kDeviceFile : descriptor_;
    switch (transfer.kind) {
      case OpKind::read:
      case OpKind::write:
      case OpKind::write_durable: prepare_transfer(entry, file, transfer); break;
      case OpKind::flush: io_uring_prep_fsync(&entry, file, IORING_FSYNC_DATASYNC); break;
      case OpKind::discard:
      case OpKind::write_zeroes:
        io_uring_prep_fallocate(&entry, file, fallocate_mode(transfer.kind), static_cast<off_t>(transfer.offset),
                                static_cast<off_t>(transfer.length));
        break;
      case OpKind::watch: io_uring_prep_poll_add(&entry, transfer.watched, POLLIN); break;
      case OpKind::command: prepare_command(entry, *transfer.command); break;
      case OpKind::compute: std::abort();  // handles() says no
    }
    if (fixed_files_ && transfer.kind != OpKind::watch) entry.flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data(&entry, &transfer);
  }

  // Whether the ring can be used.
  bool enable() {
    if (enabled_) return true;
    if (failure_) return false;
    // liburing 2.3 declares a call for this and does not export it.
    const long outcome = syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    enabled_ = outcome == 0;
    if (!enabled_) check("io_uring_register", -errno);
    return enabled_;
  }

  // EAGAIN and EBUSY: the kernel is short of memory or of room for completions; the entries wait for the next call,
  // which comes at once, so not too soon. EINTR and ETIME end a wait early; the caller asks again. Anything else is a
  // refusal (EPERM: by a seccomp filter) or means that the ring is used against its contract (EEXIST: by two threads).
  void check(const char* call, int result) {
    if (result >= 0 || result == -EINTR || result == -ETIME) return;
    if (result == -EAGAIN || result == -EBUSY) {
      if (io_uring_cq_ready(&ring_) == 0) std::this_thread::sleep_for(kShortageDelay);
      return;
    }
    if (!failure_) failure_ = refusal_of(call, -result);
  }

  void enter_and_wait(unsigned min, std::optional<std::chrono::nanoseconds> timeout) {
    if (!timeout) {
      check("io_uring_enter", io_uring_submit_and_wait(&ring_, min));
      return;
    }
    if (polled_) return poll_until(min, Clock::now() + *timeout);
    auto limit = time_of<__kernel_timespec>(*timeout);
    io_uring_cqe* entry = nullptr;
    check("io_uring_enter", io_uring_submit_and_wait_timeout(&ring_, &entry, min, &limit, nullptr));
  }

  // The kernel knows no time limit where it polls.
  void poll_until(unsigned min, Clock::time_point end) {
    kick();
    do {
      check("io_uring_enter", io_uring_get_events(&ring_));
    } while (io_uring_cq_ready(&ring_) < min && !failure_ && Clock::now() < end);
  }

  // Their places in the table of registered files.
  static constexpr int kDeviceFile = 0;
  static constexpr int kCommandFile = 1;

  int descriptor_;
  int commands_to_ = -1;
  bool fixed_files_ = false;
  bool open_ = false;
  bool enabled_ = false;
  bool polled_ = false;
  std::span<std::byte> registered_;
  std::vector<Transfer*> cancels_;  // asked for and not sent, once a transfer; none of a transfer that has ended
  io_uring ring_{};
};

}  // namespace

Result<OpenedEngine> open_uring_engine(int descriptor, const QueueConfig& config) {
  auto engine = std::make_unique<UringEngine>(descriptor);
  OpenedEngine opened;
  TRY(engine->set_up(config, opened.selection));
  opened.engine = std::move(engine);
  return opened;
}

}  // namespace ashlar::blockio
