#include "blockio/file_device.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>

#include "blockio/aligned_buffer.h"
#include "blockio/backing_file.h"
#include "blockio/device_geometry.h"
#include "blockio/device_queue.h"
#include "blockio/request_check.h"
#include "fs/base/log.h"

namespace ashlar::blockio {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLockPoll{20};
// How long a trial read may take, and how often the kernel may put it off: a millisecond each.
constexpr std::chrono::seconds kTrialLimit{30};
constexpr int kMostPutOffs = 500;

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
  const auto deadline = Clock::now() + std::chrono::milliseconds(wait_ms);
  for (;;) {
    const int error = attempt();
    const bool held = error == EBUSY || error == EAGAIN || error == EACCES;
    if (!held || Clock::now() >= deadline) return error;
    std::this_thread::sleep_for(kLockPoll);
  }
}

// F_RDLCK, F_WRLCK or F_UNLCK, on the open file description, so that a lock does not depend on the process. Of
// `length` bytes, or all there will be when that is 0. 0 or an errno.
int set_lock(int descriptor, short type, std::uint64_t offset = 0, std::uint64_t length = 0) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = static_cast<off_t>(length);
  return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

bool is_held(int lock_result) { return lock_result == EAGAIN || lock_result == EACCES; }

// What the configuration has of that wish and AIO has not; empty when nothing.
std::string beyond_aio(const QueueConfig& config, Wish wish) {
  std::string names = config.poll_device == wish ? "poll_device" : "";
  if (config.submission_thread == wish) names += names.empty() ? "submission_thread" : ",submission_thread";
  return names;
}

void add_dropped(EngineSelection& selection, const std::string& dropped) {
  if (!selection.dropped.empty() && !dropped.empty()) selection.dropped += "; ";
  selection.dropped += dropped;
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
    const short type = options.read_only ? F_RDLCK : F_WRLCK;
    const int lock_result = wait_while_held(options.lock_wait_ms, [&] { return set_lock(descriptor, type); });
    if (lock_result != 0) {
      return fail(open_error(path, is_held(lock_result) ? EBUSY : lock_result, !options.read_only));
    }
  }
  if (is_block && options.exclusive) {
    TRY(device->lock_backing_file());
    TRY(device->claim_exclusive());
  }
  TRY(device->learn_geometry());
  return device;
}

FileDevice::FileDevice(std::string path, int descriptor, const DeviceOptions& options)
    : path_(std::move(path)), descriptor_(descriptor), options_(options) {}

FileDevice::~FileDevice() {
  release_exclusive();
  // A ring that had the file registered lets go of it only after a while, and the lock would live as long.
  if (options_.exclusive) static_cast<void>(set_lock(descriptor_, F_UNLCK));
  ::close(descriptor_);
  if (backing_ >= 0) ::close(backing_);
}

// A filesystem that has no locks for the file is no reason to refuse the device.
Status FileDevice::lock_backing_file() {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return fail(open_error(path_, errno, !options_.read_only));
  const std::optional<BackingPart> part = backing_part_of(status.st_rdev);
  if (part) backing_ = open_backing_file(descriptor_, *part, !options_.read_only);
  if (backing_ < 0) return {};
  const short type = options_.read_only ? F_RDLCK : F_WRLCK;
  const int result =
      wait_while_held(options_.lock_wait_ms, [&] { return set_lock(backing_, type, part->offset, part->length); });
  if (result == 0) return {};
  if (is_held(result)) return fail(open_error(path_, EBUSY, !options_.read_only));
  log(LogLevel::info, "{}: the file behind it is not locked: {}", path_, std::strerror(result));
  return {};
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
  const std::uint64_t size = options_.window_size != 0 ? options_.window_size : geometry_.size - options_.window_offset;
  geometry_.size = size - size % geometry_.logical_sector;
  return {};
}

Status FileDevice::claim_exclusive() {
  const int result = wait_while_held(options_.lock_wait_ms, [this] {
    claim_ = ::open(path_.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
    return claim_ >= 0 ? 0 : errno;
  });
  if (result != 0) return fail(open_error(path_, result, !options_.read_only));
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
  bool started = false;
  bool ended = false;
  const auto limit = Clock::now() + kTrialLimit;
  for (int put_off = 0; put_off < kMostPutOffs && !ended && !engine.failure() && Clock::now() < limit; ++put_off) {
    if (!started) started = engine.start(std::span(&pointer, 1)) == 1;
    if (started) {
      ended = engine.reap(1, limit - Clock::now(), finished) == 1;
    } else {
      std::this_thread::sleep_for(kShortageDelay);
    }
  }
  // The kernel may have it still, and write to it when this engine is gone.
  if (started && !ended) static_cast<void>(buffer.release());
  if (const std::optional<Error>& failure = engine.failure()) return fail(failure->code(), failure->message());
  if (!started) return fail(ErrorCode::try_again, "the kernel did not take a trial read");
  if (!ended) return fail(ErrorCode::timed_out, "a trial read did not end");
  if (transfer.result >= 0) return {};
  const int error = static_cast<int>(-transfer.result);
  return fail(from_errno(error), fmt::format("a trial read failed: {}", std::strerror(error)));
}

Result<EngineSelection> FileDevice::try_engine(const QueueConfig& config) const {
  // A trial read would not tell: one of a hole reaches no device.
  if (config.engine == EngineChoice::io_uring && config.poll_device != Wish::no && !is_block_device()) {
    return fail(ErrorCode::not_supported, "only a block device has queues to poll");
  }
  // Thrown away afterwards: a ring belongs to the thread that used it. Nor does it need more than one slot.
  QueueConfig trial = config;
  trial.depth = 1;
  trial.buffers = nullptr;
  trial.commands_to = -1;
  OpenedEngine opened = TRY(config.engine == EngineChoice::aio ? open_aio_engine(descriptor_, trial)
                                                               : open_uring_engine(descriptor_, trial));
  TRY(probe(*opened.engine));
  return std::move(opened.selection);
}

Result<FileDevice::Resolved> FileDevice::resolve(const QueueConfig& config) {
  if (config.engine == EngineChoice::aio) return resolve_aio(config, {});
  Resolved resolved{config, {}, {}};
  resolved.config.engine = EngineChoice::io_uring;
  Result<EngineSelection> selection = try_engine(resolved.config);
  if (!selection && config.poll_device == Wish::if_possible) {
    // Only a read tells whether the device has polled queues.
    const std::string refusal = selection.error().message();
    resolved.config.poll_device = Wish::no;
    selection = try_engine(resolved.config);
    if (selection) resolved.dropped = fmt::format("poll_device ({})", refusal);
  }
  if (selection) {
    uring_works_ = true;
    resolved.selection = *std::move(selection);
    resolved.selection.reason = config.engine == EngineChoice::automatic ? "a trial read succeeded" : "as asked for";
    return resolved;
  }
  const std::string refusal = fmt::format("io_uring cannot be used: {}", selection.error().message());
  if (config.engine == EngineChoice::io_uring) {
    return fail(selection.error().code(), fmt::format("{}: {}; try -o io_engine=auto", path_, refusal));
  }
  if (const std::string required = beyond_aio(config, Wish::required); !required.empty()) {
    return fail(selection.error().code(),
                fmt::format("{}: {}, and AIO has no {}, which is required", path_, refusal, required));
  }
  return resolve_aio(config, refusal);
}

// `uring_refusal`: why not that; empty when AIO was asked for.
Result<FileDevice::Resolved> FileDevice::resolve_aio(const QueueConfig& config, std::string uring_refusal) {
  if (const std::string required = beyond_aio(config, Wish::required); !required.empty()) {
    return fail(ErrorCode::not_supported, fmt::format("{}: AIO has no {}, which is required", path_, required));
  }
  Resolved resolved{config, {}, {}};
  resolved.config.engine = EngineChoice::aio;
  Result<EngineSelection> selection = try_engine(resolved.config);
  if (!selection) {
    return fail(selection.error().code(),
                fmt::format("{}: AIO cannot be used: {}", path_, selection.error().message()));
  }
  aio_works_ = true;
  resolved.selection = *std::move(selection);
  resolved.selection.reason = uring_refusal.empty() ? "as asked for" : std::move(uring_refusal);
  if (const std::string wishes = beyond_aio(config, Wish::if_possible); !wishes.empty()) {
    resolved.dropped = fmt::format("{} (AIO has none)", wishes);
  }
  return resolved;
}

Result<EngineSelection> FileDevice::select_engine(const QueueConfig& config) {
  Resolved resolved = TRY(resolve(config));
  add_dropped(resolved.selection, resolved.dropped);
  return std::move(resolved.selection);
}

Result<std::unique_ptr<IoQueue>> FileDevice::open_queue(const QueueConfig& config) {
  TRY(check_depth(config.depth));
  Resolved resolved{config, {}, {}};
  resolved.selection.reason = "as asked for";
  const bool works = config.engine == EngineChoice::aio ? aio_works_ : uring_works_;
  const bool wishes = config.poll_device != Wish::no || config.submission_thread != Wish::no;
  if (config.engine == EngineChoice::automatic || !works || wishes) resolved = TRY(resolve(config));
  OpenedEngine opened = TRY(open_engine(resolved));
  DeviceQueueSetup setup;
  setup.selection = std::move(opened.selection);
  setup.selection.reason = resolved.selection.reason;
  if (config.wakeable) setup.waker = TRY(Waker::create());
  setup.helpers = &helpers_;
  setup.descriptor = descriptor_;
  setup.merge = config.merge;
  setup.send_early = config.send_early;
  setup.open_engine = [this, resolved](const IoQueue& queue, std::uint32_t depth) mutable {
    resolved.config.depth = depth;
    // The one it shared with may be gone; its own ring has the same workers.
    if (resolved.config.share_workers_with != nullptr) resolved.config.share_workers_with = &queue;
    return open_engine(resolved);
  };
  return enrolled(std::make_unique<DeviceQueue>(std::move(opened.engine), geometry_, std::move(setup)));
}

Result<OpenedEngine> FileDevice::open_engine(const Resolved& resolved) const {
  Result<OpenedEngine> opened = resolved.config.engine == EngineChoice::aio
                                    ? open_aio_engine(descriptor_, resolved.config)
                                    : open_uring_engine(descriptor_, resolved.config);
  if (!opened) return fail(std::move(opened).error().with_context(path_));
  add_dropped(opened->selection, resolved.dropped);
  return opened;
}

Result<std::uint64_t> FileDevice::current_size() const {
  const Geometry whole = TRY(read_geometry(descriptor_));
  const std::uint64_t from_window = whole.size > options_.window_offset ? whole.size - options_.window_offset : 0;
  const std::uint64_t size = options_.window_size != 0 ? std::min(options_.window_size, from_window) : from_window;
  return size - size % geometry_.logical_sector;
}

Result<std::uint64_t> FileDevice::measure() {
  const std::uint64_t size = TRY(current_size());
  if (size > geometry_.size) geometry_.size = size;
  return size;
}

Status FileDevice::extend(std::uint64_t size) {
  if (size <= TRY(measure())) return {};
  if (is_block_device() || options_.window_size != 0) {
    return fail(ErrorCode::device_too_small,
                fmt::format("{}: has only {} bytes", path_, std::uint64_t{geometry_.size}));
  }
  // Past its limit a process gets a signal that ends it.
  struct rlimit limit {};
  const bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  const std::uint64_t most = limited ? limit.rlim_cur : static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (options_.window_offset > most || size > most - options_.window_offset) {
    return fail(ErrorCode::file_too_large, fmt::format("{}: no file may have {} bytes here", path_, size));
  }
  if (ftruncate(descriptor_, static_cast<off_t>(options_.window_offset + size)) != 0 || fsync(descriptor_) != 0) {
    return fail(from_errno(errno),
                fmt::format("{}: cannot be made {} bytes long: {}", path_, size, std::strerror(errno)));
  }
  TRY(measure());
  return {};
}

}  // namespace ashlar::blockio
