// The Linux kernel AIO engine.
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "blockio/engine.h"

namespace ashlar::blockio {
namespace {

long io_setup(unsigned depth, aio_context_t* context) { return syscall(SYS_io_setup, depth, context); }
long io_destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
long io_submit(aio_context_t context, long count, iocb** blocks) {
  return syscall(SYS_io_submit, context, count, blocks);
}
long io_getevents(aio_context_t context, long min, long max, io_event* events, timespec* timeout) {
  return syscall(SYS_io_getevents, context, min, max, events, timeout);
}

class AioEngine final : public Engine {
 public:
  AioEngine(int descriptor, unsigned depth) : descriptor_(descriptor), blocks_(depth), events_(depth) {
    free_.reserve(depth);
    for (iocb& block : blocks_) free_.push_back(&block);
    batch_.reserve(depth);
    ended_.reserve(depth);
  }
  ~AioEngine() override {
    if (context_ != 0) io_destroy(context_);
  }

  [[nodiscard]] int set_up() { return io_setup(static_cast<unsigned>(blocks_.size()), &context_) == 0 ? 0 : errno; }

  std::size_t start(std::span<Transfer* const> transfers) override {
    batch_.clear();
    std::size_t taken = 0;
    for (; taken < transfers.size() && !free_.empty(); ++taken) {
      Transfer& transfer = *transfers[taken];
      if (transfer.kind == OpKind::discard || transfer.kind == OpKind::write_zeroes) {
        if (!batch_.empty()) break;  // what is taken must be a prefix
        allocate_range(transfer);
        continue;
      }
      iocb* block = free_.back();
      free_.pop_back();
      prepare(*block, transfer);
      batch_.push_back(block);
    }
    return taken - give_back(submit_batch());
  }

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
    timespec limit{};
    if (timeout) {
      limit.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(*timeout).count();
      limit.tv_nsec = (*timeout % std::chrono::seconds(1)).count();
    }
    // EINTR ends the wait early; the caller asks again.
    const long got = io_getevents(context_, static_cast<long>(still), static_cast<long>(room), events_.data(),
                                  timeout || still == 0 ? &limit : nullptr);
    for (long i = 0; i < got; ++i) {
      const io_event& event = events_[static_cast<std::size_t>(i)];
      auto* transfer = reinterpret_cast<Transfer*>(event.data);
      transfer->result = event.res;
      free_.push_back(reinterpret_cast<iocb*>(event.obj));
      finished[count++] = transfer;
    }
    return count;
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
    block.aio_lio_opcode = transfer.kind == OpKind::read ? IOCB_CMD_PREADV : IOCB_CMD_PWRITEV;
    block.aio_buf = reinterpret_cast<std::uintptr_t>(transfer.segments);
    block.aio_nbytes = transfer.segment_count;
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
      end_with(batch_[done], -errno);
      ++done;
    }
    return batch_.size() - done;
  }

  std::size_t give_back(std::size_t untaken) {
    for (std::size_t i = batch_.size() - untaken; i < batch_.size(); ++i) free_.push_back(batch_[i]);
    return untaken;
  }

  void end_with(iocb* block, int result) {
    auto* transfer = reinterpret_cast<Transfer*>(block->aio_data);
    transfer->result = result;
    ended_.push_back(transfer);
    free_.push_back(block);
  }

  // Kernel AIO has no such command.
  void allocate_range(Transfer& transfer) {
    const int mode =
        FALLOC_FL_KEEP_SIZE | (transfer.kind == OpKind::discard ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    const int outcome =
        fallocate(descriptor_, mode, static_cast<off_t>(transfer.offset), static_cast<off_t>(transfer.length));
    transfer.result = outcome == 0 ? 0 : -errno;
    ended_.push_back(&transfer);
  }

  int descriptor_;
  aio_context_t context_ = 0;
  std::vector<iocb> blocks_;
  std::vector<iocb*> free_;
  std::vector<iocb*> batch_;
  std::vector<io_event> events_;
  std::vector<Transfer*> ended_;  // refused at once, or done without the kernel's queue
};

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

Result<std::unique_ptr<Engine>> open_aio_engine(int descriptor, const QueueConfig& config) {
  auto engine = std::make_unique<AioEngine>(descriptor, config.depth);
  if (const int error = engine->set_up(); error != 0) {
    std::string detail = fmt::format("io_setup: {}", std::strerror(error));
    if (error == EAGAIN) {
      detail += fmt::format(" (fs.aio-nr {} of fs.aio-max-nr {} in use; raise the latter)",
                            first_line("/proc/sys/fs/aio-nr"), first_line("/proc/sys/fs/aio-max-nr"));
    }
    return fail(from_errno(error), std::move(detail));
  }
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace ashlar::blockio
