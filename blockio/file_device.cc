#include "blockio/file_device.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "blockio/aligned_buffer.h"
#include "blockio/device_geometry.h"
#include "blockio/device_queue.h"

namespace ashlar::blockio {
namespace {

constexpr std::chrono::milliseconds kLockPoll{20};

std::string why(int error_number, bool writing) {
  switch (error_number) {
    case ENOENT: return "no such file or device";
    case EACCES:
    case EPERM: return "permission denied; run as root or open it to yourself";
    case EBUSY: return "in use: mounted, or held by another program; unmount it first";
    case EROFS: return writing ? "read-only; use read-only access (-o ro)" : "read-only";
    case EINVAL:
      return "its filesystem cannot do direct I/O (O_DIRECT); move the image to one that can, such as ext4 or XFS";
    default: return std::strerror(error_number);
  }
}

Error open_error(const std::string& path, int error_number, bool writing) {
  return {error_number == EINVAL ? ErrorCode::invalid_argument : from_errno(error_number),
          fmt::format("{}: {}", path, why(error_number, writing))};
}

// Retries `attempt` (0 or an errno) while it says that somebody holds what it wants.
template <typename Attempt>
int wait_while_held(std::uint32_t wait_ms, Attempt attempt) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  for (;;) {
    const int error = attempt();
    const bool held = error == EBUSY || error == EAGAIN || error == EACCES;
    if (!held || std::chrono::steady_clock::now() >= deadline) return error;
    std::this_thread::sleep_for(kLockPoll);
  }
}

// On the open file description, so that it lives as long as the descriptor and does not depend on the process.
int lock_device(int descriptor, bool shared) {
  struct flock lock {};
  lock.l_type = shared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

}  // namespace

std::string_view name_of(EngineChoice engine) noexcept {
  switch (engine) {
    case EngineChoice::io_uring: return "io_uring";
    case EngineChoice::aio: return "aio";
    case EngineChoice::automatic: return "auto";
  }
  return "auto";
}

Result<std::unique_ptr<FileDevice>> open_device(const std::string& path, const DeviceOptions& options) {
  return FileDevice::open(path, options);
}

Result<std::unique_ptr<FileDevice>> FileDevice::open(const std::string& path, const DeviceOptions& options) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return fail(open_error(path, errno, !options.read_only));
  const bool is_block = S_ISBLK(status.st_mode);
  if (!is_block && !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: neither a block device nor an image file", path));
  }
  const int descriptor = ::open(path.c_str(), O_DIRECT | O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR));
  if (descriptor < 0) return fail(open_error(path, errno, !options.read_only));
  std::unique_ptr<FileDevice> device(new FileDevice(path, descriptor, options));

  if (options.exclusive) {
    const int lock_result =
        wait_while_held(options.lock_wait_ms, [&] { return lock_device(descriptor, options.read_only); });
    if (lock_result != 0) {
      const bool held = lock_result == EAGAIN || lock_result == EACCES;
      return fail(open_error(path, held ? EBUSY : lock_result, !options.read_only));
    }
  }
  if (is_block && options.exclusive) {
    const int claim_result = wait_while_held(options.lock_wait_ms, [&] {
      device->claim_ = ::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
      return device->claim_ >= 0 ? 0 : errno;
    });
    if (claim_result != 0) return fail(open_error(path, claim_result, !options.read_only));
  }
  TRY(device->learn_geometry());
  return device;
}

FileDevice::FileDevice(std::string path, int descriptor, const DeviceOptions& options)
    : path_(std::move(path)), descriptor_(descriptor), options_(options) {}

FileDevice::~FileDevice() {
  release_exclusive();
  // A ring that had the file registered lets go of it only after a while, and the lock would live as long.
  if (options_.exclusive && !is_block_device()) {
    struct flock lock {};
    lock.l_type = F_UNLCK;
    lock.l_whence = SEEK_SET;
    static_cast<void>(fcntl(descriptor_, F_OFD_SETLK, &lock));
  }
  ::close(descriptor_);
}

Status FileDevice::learn_geometry() {
  Result<Geometry> whole = read_geometry(descriptor_);
  if (!whole) return fail(std::move(whole).error().with_context(path_));
  geometry_ = *whole;
  if (options_.window_offset % geometry_.logical_sector != 0) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: offset is not a multiple of the {}-byte sector", path_, geometry_.logical_sector));
  }
  if (options_.window_offset > geometry_.size || options_.window_size > geometry_.size - options_.window_offset) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: offset and size reach past its end", path_));
  }
  geometry_.window_offset = options_.window_offset;
  geometry_.size = options_.window_size != 0 ? options_.window_size : geometry_.size - options_.window_offset;
  geometry_.size -= geometry_.size % geometry_.logical_sector;
  return {};
}

void FileDevice::release_exclusive() {
  if (claim_ >= 0) ::close(claim_);
  claim_ = -1;
}

// A ring can be set up and still refuse every read, so one real read decides.
Status FileDevice::probe(Engine& engine) const {
  AlignedBuffer buffer(std::max<std::size_t>(geometry_.logical_sector, 512));
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  const iovec segment{buffer.data(), buffer.size()};
  Transfer transfer;
  transfer.kind = OpKind::read;
  transfer.offset = geometry_.window_offset;
  transfer.length = buffer.size();
  transfer.segments = &segment;
  transfer.segment_count = 1;
  Transfer* const pointer = &transfer;
  std::array<Transfer*, 1> finished{};
  bool started = engine.start(std::span(&pointer, 1)) == 1;
  while (engine.reap(1, std::nullopt, finished) == 0) {
    if (!started) started = engine.start(std::span(&pointer, 1)) == 1;
  }
  if (transfer.result >= 0) return {};
  const int error = static_cast<int>(-transfer.result);
  return fail(from_errno(error), fmt::format("a trial read failed: {}", std::strerror(error)));
}

Result<EngineSelection> FileDevice::select_engine(const QueueConfig& config) {
  QueueConfig trial = config;
  trial.depth = 1;
  EngineSelection selection{config.engine, {}, "as asked for"};
  std::string uring_refusal;
  if (config.engine != EngineChoice::aio) {
    Result<std::unique_ptr<Engine>> engine = open_uring_engine(descriptor_, trial, selection.flags);
    Status usable = engine ? probe(**engine) : Status(tl::unexpected<Error>(std::move(engine).error()));
    if (usable) {
      if (config.engine == EngineChoice::automatic) selection.reason = "a trial read succeeded";
      selection.engine = EngineChoice::io_uring;
      return selection;
    }
    if (config.engine == EngineChoice::io_uring) {
      return fail(usable.error().code(), fmt::format("{}: io_uring cannot be used: {}; try -o io_engine=auto", path_,
                                                     usable.error().message()));
    }
    uring_refusal = usable.error().message();
  }
  Result<std::unique_ptr<Engine>> engine = open_aio_engine(descriptor_, trial);
  const Status usable = engine ? probe(**engine) : Status(tl::unexpected<Error>(std::move(engine).error()));
  if (!usable) {
    return fail(usable.error().code(), fmt::format("{}: AIO cannot be used: {}", path_, usable.error().message()));
  }
  selection.engine = EngineChoice::aio;
  selection.flags.clear();
  if (!uring_refusal.empty()) selection.reason = fmt::format("io_uring cannot be used: {}", uring_refusal);
  return selection;
}

Result<std::unique_ptr<IoQueue>> FileDevice::open_queue(const QueueConfig& config) {
  if (config.depth == 0 || config.depth > kMaxQueueDepth) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("queue depth {} is not between 1 and {}", config.depth, kMaxQueueDepth));
  }
  QueueConfig resolved = config;
  if (config.engine == EngineChoice::automatic) resolved.engine = TRY(select_engine(config))
  .engine;
  std::string flags;
  Result<std::unique_ptr<Engine>> engine = resolved.engine == EngineChoice::io_uring
                                               ? open_uring_engine(descriptor_, resolved, flags)
                                               : open_aio_engine(descriptor_, resolved);
  if (!engine) return fail(std::move(engine).error().with_context(path_));
  return std::unique_ptr<IoQueue>(std::make_unique<DeviceQueue>(*std::move(engine), geometry_, resolved.depth));
}

}  // namespace ashlar::blockio
