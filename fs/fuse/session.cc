#include "fs/fuse/session.h"

#include <fmt/core.h>
#include <linux/fuse.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <future>

#include "fs/base/log.h"
#include "fs/fuse/operations.h"

namespace ashlar::fuse {
namespace {

// libfuse reports why a mount failed only in words.
constexpr std::size_t kMaxLogLine = 512;

void log_from_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  char line[kMaxLogLine];
  if (std::vsnprintf(line, sizeof line, format, arguments) <= 0) return;
  line[std::strcspn(line, "\n")] = '\0';
  ashlar::log_line(level <= FUSE_LOG_ERR ? LogLevel::error : LogLevel::debug, line);
}

struct Arguments {
  fuse_args list = FUSE_ARGS_INIT(0, nullptr);
  Arguments() = default;
  ~Arguments() { fuse_opt_free_args(&list); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  [[nodiscard]] bool add(const std::string& text) { return fuse_opt_add_arg(&list, text.c_str()) == 0; }
};

// A comma or backslash inside a value would end the option.
std::string escaped(const std::string& value) {
  std::string result;
  for (const char c : value) {
    if (c == ',' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

[[nodiscard]] bool add_arguments(Arguments& arguments, const MountOptions& options) {
  bool added = arguments.add("ashlarfs") && arguments.add("-ofsname=" + escaped(options.source)) &&
               arguments.add("-osubtype=ashlarfs") && arguments.add("-odefault_permissions");
  // The kernel sets this block size on the device, and it may not be below the device's sectors.
  if (options.block_device) added = added && arguments.add("-oblkdev") && arguments.add("-oblksize=4096");
  for (const std::string& option : options.options) added = added && arguments.add("-o" + option);
  return added;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::mount(const MountOptions& options, Edge& edge) {
  fuse_set_log_func(log_from_libfuse);
  Arguments arguments;
  if (!add_arguments(arguments, options)) return fail(ErrorCode::out_of_memory);
  const fuse_lowlevel_ops operations = all_operations();
  fuse_session* session = fuse_session_new(&arguments.list, &operations, sizeof operations, &edge);
  if (session == nullptr) return fail(ErrorCode::invalid_argument, "FUSE refuses the mount options");
  if (fuse_session_mount(session, options.mount_point.c_str()) != 0) {
    fuse_session_destroy(session);
    return fail(ErrorCode::not_permitted,
                fmt::format("cannot mount at {}; is /dev/fuse there and the mount point yours?", options.mount_point));
  }
  return std::unique_ptr<Session>(new Session(session, edge, options.mount_point));
}

Session::Session(fuse_session* session, Edge& edge, std::string mount_point)
    : session_(session), edge_(edge), mount_point_(std::move(mount_point)) {}

Session::~Session() {
  if (!threads_.empty()) {
    unmount();
    join();
  } else {
    fuse_session_unmount(session_);
  }
  fuse_session_destroy(session_);
}

// Not libfuse's: that closes the descriptor the workers still read from.
void Session::unmount() {
  if (umount2(mount_point_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;
  std::string program = "fusermount3";
  std::string flags = "-uz";
  char* const arguments[] = {program.data(), flags.data(), mount_point_.data(), nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0 ||
      waitpid(child, nullptr, 0) != child) {
    ashlar::log(LogLevel::error, "{}: cannot be unmounted; use fusermount3 -u", mount_point_);
  }
}

Status Session::start(blockio::BlockDevice& device, const ServeOptions& options, std::function<void()> ended) {
  ended_ = std::move(ended);
  std::vector<std::future<Status>> outcomes;
  for (unsigned i = 0; i < options.threads; ++i) {
    auto promise = std::make_shared<std::promise<Status>>();
    outcomes.push_back(promise->get_future());
    threads_.emplace_back([this, &device, options, promise] {
      serve(device, options, [&promise](Status status) { promise->set_value(std::move(status)); });
    });
  }
  Status all;
  for (std::future<Status>& outcome : outcomes) {
    Status one = outcome.get();
    if (!one && all) all = std::move(one);
  }
  if (all) return all;
  unmount();
  join();
  return all;
}

void Session::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// The queue is made here because it belongs to the thread that uses it.
void Session::serve(blockio::BlockDevice& device, const ServeOptions& options,
                    const std::function<void(Status)>& ready) {
  Result<std::unique_ptr<Worker>> worker = Worker::create(device, options.queue, options.block_size);
  if (!worker) return ready(fail(std::move(worker).error()));
  const Worker::Scope scope(**worker);
  ready({});
  receive_loop(**worker);
  if (ended_) ended_();
}

void Session::receive_loop(Worker& worker) {
  while (fuse_session_exited(session_) == 0) {
    fuse_buf buffer{};
    buffer.mem = worker.request();
    const int received = fuse_session_receive_buf(session_, &buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) {
      if (received < 0)
        ashlar::log(LogLevel::error, "{}: receiving requests: {}", mount_point_, std::strerror(-received));
      fuse_session_exit(session_);
      return;
    }
    if (!answer_directly(worker, static_cast<std::size_t>(received))) fuse_session_process_buf(session_, &buffer);
  }
}

bool Session::answer_directly(Worker& worker, std::size_t size) {
  fuse_in_header header;
  if (size < sizeof header) return false;
  std::memcpy(&header, worker.request(), sizeof header);
  // The kernel waits for DESTROY when a fuseblk mount ends, so that what was written is durable when umount returns.
  // libfuse goes on with it.
  if (header.opcode != FUSE_SYNCFS && header.opcode != FUSE_DESTROY) return false;
  volume::Context context{worker.io(), {}, header.uid, header.gid};
  const Status synced = edge_.volume.sync_all(context);
  if (header.opcode == FUSE_DESTROY) return false;  // a failure is in the volume's status and in the log
  const fuse_out_header answer{sizeof answer, synced ? 0 : -synced.error().error_number(), header.unique};
  // It fails only when the connection is gone, and then nobody waits.
  static_cast<void>(!write(fuse_session_fd(session_), &answer, sizeof answer));
  return true;
}

std::string Session::bdi_name() const {
  struct stat status {};
  if (stat(mount_point_.c_str(), &status) != 0) return {};
  return fmt::format("{}:{}", major(status.st_dev), minor(status.st_dev));
}

}  // namespace ashlar::fuse
