#include "fs/daemon/mount.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "blockio/file_device.h"
#include "blockio/mount_table.h"
#include "fs/base/log.h"
#include "fs/daemon/status.h"
#include "fs/daemon/tuning.h"
#include "fs/daemon/wakeup_latency.h"
#include "fs/fuse/session.h"
#include "fs/volume/volume.h"

namespace ashlar::daemon {
namespace {

// A worker has one request at a time, so this many are in flight. Idle ones cost their buffers.
constexpr unsigned kDefaultThreads = 16;
constexpr std::uint32_t kQueueDepth = 64;
// What a daemon that dies of errors=panic exits with.
constexpr int kPanicStatus = 3;

unsigned thread_count(const MountRequest& request) {
  // One may wait for the kernel while another serves what the kernel needs for that.
  if (request.threads != 0) return std::max(2U, request.threads);
  return std::max(kDefaultThreads, std::thread::hardware_concurrency());
}

// Waits until the workers saw the end of the connection or a signal asks for it.
class StopWaiter {
 public:
  StopWaiter() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
    // Blocked before any thread is made, so that no other thread takes them.
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
    ended_ = eventfd(0, EFD_CLOEXEC);
  }
  ~StopWaiter() {
    close(signals_);
    close(ended_);
  }
  StopWaiter(const StopWaiter&) = delete;
  StopWaiter& operator=(const StopWaiter&) = delete;

  [[nodiscard]] bool usable() const noexcept { return signals_ >= 0 && ended_ >= 0; }
  void notify_ended() const {
    const std::uint64_t one = 1;
    static_cast<void>(!write(ended_, &one, sizeof one));
  }
  // True when a signal came, which is thereby used up.
  [[nodiscard]] bool wait() const {
    for (;;) {
      pollfd sources[] = {{signals_, POLLIN, 0}, {ended_, POLLIN, 0}};
      if (poll(sources, 2, -1) < 0 && errno == EINTR) continue;
      if (sources[1].revents != 0) return false;
      signalfd_siginfo taken;
      static_cast<void>(!read(signals_, &taken, sizeof taken));
      return true;
    }
  }

 private:
  int signals_ = -1;
  int ended_ = -1;
};

// The mount from its device up; members go in the reverse order.
struct Mount {
  std::unique_ptr<blockio::FileDevice> device;
  blockio::EngineSelection engine;
  blockio::QueueConfig queue;
  std::unique_ptr<blockio::IoQueue> io;
  std::unique_ptr<volume::Volume> volume;
  std::unique_ptr<fuse::Edge> edge;
  std::unique_ptr<fuse::Session> session;
};

Status open_volume(const MountRequest& request, Mount& mount) {
  blockio::DeviceOptions device_options;
  device_options.read_only = request.read_only;
  device_options.lock_wait_ms = blockio::lock_wait_ms(!blockio::mount_point_of(request.device).empty());
  device_options.window_offset = request.offset;
  mount.device = TRY(blockio::open_device(request.device, device_options));
  mount.queue.engine = request.engine;
  mount.queue.depth = kQueueDepth;
  mount.engine = TRY(mount.device->select_engine(mount.queue));
  mount.queue.engine = mount.engine.engine;
  mount.io = TRY(mount.device->open_queue(mount.queue));
  mount.engine.flags = mount.io->selection().flags;
  mount.engine.depth = mount.io->selection().depth;
  if (mount.engine.dropped.empty()) mount.engine.dropped = mount.io->selection().dropped;

  volume::VolumeOptions options;
  options.store.read_only = request.read_only;
  options.store.skip_log = request.skip_log;
  options.store.cache_bytes = request.cache_bytes;
  options.store.commit_interval = request.commit_interval;
  options.store.discard = request.discard;
  options.store.queue = mount.queue;
  if (request.on_failure == OnFailure::panic) {
    // At once: destructors would still answer requests.
    options.store.on_failure = [] { std::_Exit(kPanicStatus); };
  }
  options.access_times = request.access_times;
  options.no_directory_access_times = request.no_directory_access_times;
  options.no_copy_on_write = request.no_copy_on_write;
  options.sync_names = request.sync_names;
  auto opened = volume::Volume::open(*mount.device, *mount.io, options);
  if (!opened) return fail(std::move(opened).error().with_context(request.device));
  mount.volume = *std::move(opened);
  return {};
}

Result<std::unique_ptr<fuse::Session>> mount_session(const MountRequest& request, Mount& mount) {
  fuse::MountOptions options;
  options.source = blockio::real_path(request.device);
  options.mount_point = request.mount_point;
  options.options = request.kernel_options;
  options.transport = request.transport;
  if (request.read_only) options.options.emplace_back("ro");
  options.block_device = mount.device->is_block_device() && geteuid() == 0;
  if (options.block_device) {
    // The kernel opens the device of a fuseblk mount itself, and claims it.
    mount.device->release_exclusive();
    auto session = fuse::Session::mount(options, *mount.edge);
    if (session) return session;
    // Not every kernel and container has it: in a user namespace, for one, it is forbidden.
    TRY(mount.device->claim_exclusive());
    options.block_device = false;
    auto plain = fuse::Session::mount(options, *mount.edge);
    if (plain) {
      log(LogLevel::warning, "{}: mounted as fuse, because fuseblk fails ({}): umount and syncfs do not wait",
          request.device, session.error().message());
    }
    return plain;
  }
  return fuse::Session::mount(options, *mount.edge);
}

std::string engine_line(const MountRequest& request, const Mount& mount) {
  const bool rings = mount.session->transport() == fuse::TransportKind::io_uring;
  return fmt::format("{} on {}: I/O engine {}{}{}{} ({}); FUSE through {} ({})\n", request.device, request.mount_point,
                     name_of(mount.engine.engine), mount.engine.flags.empty() ? "" : " [", mount.engine.flags,
                     mount.engine.flags.empty() ? "" : "]", mount.engine.reason, rings ? "io_uring" : "/dev/fuse",
                     mount.session->transport_reason());
}

std::string_view name_of(OnFailure policy) {
  switch (policy) {
    case OnFailure::remount_read_only: return "remount-ro";
    case OnFailure::carry_on: return "continue";
    case OnFailure::panic: return "panic";
  }
  return "";
}

std::string status_of(const MountRequest& request, const Mount& mount) {
  MountFacts facts;
  facts.mount_point = request.mount_point;
  facts.errors_policy = name_of(request.on_failure);
  facts.engine = mount.engine;
  facts.transport = mount.session->transport() == fuse::TransportKind::io_uring ? "io_uring" : "/dev/fuse";
  facts.transport_reason = mount.session->transport_reason();
  facts.threads = thread_count(request);
  facts.cache_limit = request.cache_bytes;
  facts.commit_interval = request.commit_interval;
  return status_json(facts, *mount.device, *mount.volume);
}

// Where the kernel has told the mount's end, this finds all written already, and must write nothing.
Status close_volume(Mount& mount) {
  mount.session.reset();
  const std::string failure = mount.volume->store().stats().failure;
  if (!failure.empty()) return fail(ErrorCode::shut_down, failure);
  return mount.volume->close(*mount.io);
}

// Null when it was not asked for or is not permitted, which costs speed alone.
std::unique_ptr<WakeupLatency> keep_processors_awake(const MountRequest& request) {
  if (!request.low_latency) return nullptr;
  auto started = WakeupLatency::start(WakeupLatency::kControl, sleeps_of_process);
  if (started) return *std::move(started);
  log(LogLevel::warning, "{}: option low_latency has no effect: {}", request.device, started.error().message());
  return nullptr;
}

Status serve(const MountRequest& request, Mount& mount, const StopWaiter& stop, Readiness& readiness) {
  mount.edge = std::make_unique<fuse::Edge>(fuse::Edge{*mount.volume, [&] { return status_of(request, mount); }});
  mount.session = TRY(mount_session(request, mount));
  const fuse::ServeOptions options{thread_count(request), mount.queue, mount.volume->store().layout().block_size()};
  TRY(mount.session->start(*mount.device, options, [&stop] { stop.notify_ended(); }));
  tune_backing_device(mount.session->bdi_name());
  const std::unique_ptr<WakeupLatency> awake = keep_processors_awake(request);
  const std::string line = engine_line(request, mount);
  log_line(LogLevel::info, std::string_view(line).substr(0, line.size() - 1));
  readiness.ready(request.verbose && !request.foreground ? line : std::string());  // in front the log has told it

  // It may have to be asked for more than once: when something was mounted over it.
  while (stop.wait()) mount.session->unmount();
  mount.session->join();
  return {};
}

}  // namespace

Status check_mount_point(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    return fail(from_errno(errno),
                fmt::format("mount point {}: {}", path,
                            errno == ENOENT ? "does not exist; create it first" : std::strerror(errno)));
  }
  if (!S_ISDIR(status.st_mode))
    return fail(ErrorCode::not_a_directory, fmt::format("mount point {}: not a directory", path));
  // Who may not open it mounts through fusermount3, which may.
  const int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  const int error = fuse < 0 ? errno : 0;
  if (fuse >= 0) ::close(fuse);
  if (error == ENOENT || error == ENODEV || error == ENXIO) {
    return fail(from_errno(error),
                fmt::format("mount point {}: no /dev/fuse here ({}); is the module loaded? modprobe fuse", path,
                            std::strerror(error)));
  }
  return {};
}

int run_mount(const MountRequest& request, Readiness readiness) {
  const StopWaiter stop;
  if (!stop.usable()) {
    readiness.failed(1, fmt::format("ashlarfs: {}: no descriptors left\n", request.device));
    return 1;
  }
  give_back_large_memory();
  protect_from_reclaim();
  Mount mount;
  Status status = open_volume(request, mount);
  if (status) {
    status = serve(request, mount, stop, readiness);
    const Status closed = close_volume(mount);
    if (status && !closed) {
      log(LogLevel::error, "{}: closing: {}", request.device, closed.error().message());
      return 1;
    }
  }
  if (status) return 0;
  const std::string message = status.error().message();
  const bool named = message.starts_with(request.device);
  readiness.failed(1, fmt::format("ashlarfs: {}{}\n", named ? "" : request.device + ": ", message));
  return 1;
}

}  // namespace ashlar::daemon
