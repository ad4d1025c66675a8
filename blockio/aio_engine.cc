// The Linux kernel AIO engine.
#include <fmt/core.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "blockio/engine.h"
#include "blockio/kernel_forms.h"

namespace ashlar::blockio {
namespace {

long io_setup(unsigned depth, aio_context_t* context) { return syscall(SYS_io_setup, depth, context); }
long io_destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
long io_submit(aio_context_t context, long count, iocb** blocks) {
  return syscall(SYS_io_submit, context, count, blocks);
}
long io_cancel(aio_context_t context, iocb* block, io_event* event) {
  return syscall(SYS_io_cancel, context, block, event);
}
long io_getevents(aio_context_t context, long min, long max, io_event* events, timespec* timeout) {
  return syscall(SYS_io_getevents, context, min, max, events, timeout);
}

class AioEngine final : public Engine {
 public:
  AioEngine(int descriptor, unsigned depth) : descriptor_(descriptor), blocks_(depth + 1), events_(depth + 1) {
    free_.reserve(blocks_.size());
    for (iocb& block : blocks_) free_.push_back(&block);
    batch_.reserve(blocks_.size());
    ended_.reserve(blocks_.size());
  }
  ~AioEngine() override {
    if (context_ != 0) io_destroy(context_);
  }

  [[nodiscard]] int set_up() { return io_setup(static_cast<unsigned>(blocks_.size()), &context_) == 0 ? 0 : errno; }

  bool handles(OpKind kind) const noexcept override {
    return is_transfer(kind) || kind == OpKind::flush || kind == OpKind::watch;
  }

  std::size_t start(std::span<Transfer* const> transfers) override {
    batch_.clear();
    for (std::size_t i = 0; i < transfers.size() && !free_.empty(); ++i) {
      iocb* const block = free_.back();
      free_.pop_back();
      prepare(*block, *transfers[i]);
      batch_.push_back(block);
    }
    return batch_.size() - give_back(submit_batch());
  }

  void kick() override {}

  std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                   std::span<Transfer*> finished) override {
    std::size_t count = 0;
    while (count < finished.size() && !ended_.empty()) {
      finished[count++] = ended_.back();
      ended_.pop_back();
    }
    const std::size_t in_flight = blocks_.size() - free_.size();
    const std::size_t room = std::min(finished.size() - count, in_flight);
    if (room == 0) return count;
    const std::size_t still = std::min(min > count ? min - count : 0, room);
    timespec limit = time_of(timeout.value_or(std::chrono::nanoseconds(0)));
    const long got = io_getevents(context_, static_cast<long>(still), static_cast<long>(room), events_.data(),
                                  timeout || still == 0 ? &limit : nullptr);
    if (got < 0) {
      // EINTR ends the wait early; the caller asks again. Nothing else can be but a refusal or misuse.
      if (errno != EINTR) failure_ = Error{from_errno(errno), fmt::format("io_getevents: {}", std::strerror(errno))};
      return count;
    }
    for (long i = 0; i < got; ++i) finished[count++] = take(events_[static_cast<std::size_t>(i)]);
    return count;
  }

  // The kernel can cancel a poll and nothing else.
  void cancel(Transfer& transfer) override {
    if (transfer.kind != OpKind::watch) return;
    for (iocb& block : blocks_) {
      if (block.aio_data != reinterpret_cast<std::uintptr_t>(&transfer)) continue;
      io_event unused{};
      // Its outcome, whichever, comes with the others.
      static_cast<void>(io_cancel(context_, &block, &unused));
      return;
    }
  }

 private:
  void prepare(iocb& block, Transfer& transfer) const {
    block = iocb{};
    block.aio_data = reinterpret_cast<std::uintptr_t>(&transfer);
    block.aio_fildes = static_cast<std::uint32_t>(descriptor_);
    if (transfer.kind == OpKind::flush) {
      block.aio_lio_opcode = IOCB_CMD_FDSYNC;
      return;
    }
    if (transfer.kind == OpKind::watch) {
      block.aio_lio_opcode = IOCB_CMD_POLL;
      block.aio_fildes = static_cast<std::uint32_t>(transfer.watched);
      block.aio_buf = POLLIN;
      return;
    }
    const bool reads = transfer.kind == OpKind::read;
    if (transfer.segment_count == 1) {
      block.aio_lio_opcode = reads ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
      block.aio_buf = reinterpret_cast<std::uintptr_t>(transfer.segments[0].iov_base);
      block.aio_nbytes = transfer.length;
    } else {
      block.aio_lio_opcode = reads ? IOCB_CMD_PREADV : IOCB_CMD_PWRITEV;
      block.aio_buf = reinterpret_cast<std::uintptr_t>(transfer.segments);
      block.aio_nbytes = transfer.segment_count;
    }
    block.aio_offset = static_cast<std::int64_t>(transfer.offset);
    if (transfer.durable) block.aio_rw_flags = RWF_DSYNC;
  }

  // How many of batch_, at its end, the kernel did not take. A request that it refuses is reported for the head of the
  // array only: it ends with that error, the rest goes on.
  std::size_t submit_batch() {
    std::size_t done = 0;
    while (done < batch_.size()) {
      const long taken = io_submit(context_, static_cast<long>(batch_.size() - done), batch_.data() + done);
      if (taken > 0) {
        done += static_cast<std::size_t>(taken);
        continue;
      }
      if (taken < 0 && errno == EINTR) continue;
      if (taken == 0 || errno == EAGAIN) break;
      end_with(*batch_[done], -errno);
      ++done;
    }
    return batch_.size() - done;
  }

  std::size_t give_back(std::size_t untaken) {
    for (std::size_t i = batch_.size() - untaken; i < batch_.size(); ++i) release(*batch_[i]);
    return untaken;
  }

  void release(iocb& block) {
    block.aio_data = 0;
    free_.push_back(&block);
  }

  void end_with(iocb& block, int result) {
    auto* const transfer = reinterpret_cast<Transfer*>(block.aio_data);
    transfer->result = result;
    ended_.push_back(transfer);
    release(block);
  }

  Transfer* take(const io_event& event) {
    auto* const transfer = reinterpret_cast<Transfer*>(event.data);
    transfer->result = event.res;
    // A poll that ends without an event was cancelled.
    if (transfer->kind == OpKind::watch && event.res == 0) transfer->result = -ECANCELED;
    release(*reinterpret_cast<iocb*>(event.obj));
    return transfer;
  }

  int descriptor_;
  aio_context_t context_ = 0;
  std::vector<iocb> blocks_;
  std::vector<iocb*> free_;
  std::vector<iocb*> batch_;
  std::vector<io_event> events_;
  std::vector<Transfer*> ended_;  // refused at once
};

// Below this a queue is of no use.
constexpr std::uint32_t kLeastDepth = 4;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string aio_in_use() {
  return fmt::format("fs.aio-nr {} of fs.aio-max-nr {} in use; raise the latter", first_line("/proc/sys/fs/aio-nr"),
                     first_line("/proc/sys/fs/aio-max-nr"));
}

}  // namespace

// Where the system's requests are nearly used up, with a smaller depth rather than not at all.
Result<OpenedEngine> open_aio_engine(int descriptor, const QueueConfig& config) {
  OpenedEngine opened;
  opened.selection.engine = EngineChoice::aio;
  const std::uint32_t least = std::min(config.depth, kLeastDepth);
  int error = 0;
  for (std::uint32_t depth = config.depth; depth >= least; depth /= 2) {
    auto engine = std::make_unique<AioEngine>(descriptor, depth);
    error = engine->set_up();
    if (error == 0) {
      opened.selection.depth = depth;
      if (depth < config.depth) opened.selection.dropped = fmt::format("depth {} ({})", config.depth, aio_in_use());
      opened.engine = std::move(engine);
      return opened;
    }
    if (error != EAGAIN) break;
  }
  std::string detail = fmt::format("io_setup: {}", std::strerror(error));
  if (error == EAGAIN) detail += fmt::format(" ({})", aio_in_use());
  if (error == ENOSYS) detail += " (the kernel has no AIO, or a seccomp filter hides it)";
  return fail(from_errno(error), std::move(detail));
}

}  // namespace ashlar::blockio
