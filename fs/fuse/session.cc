#include "fs/fuse/session.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fuse.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "fs/base/file_descriptor.h"
#include "fs/base/log.h"
#include "fs/base/standard_streams.h"
#include "fs/base/thread.h"
#include "fs/fuse/dev_transport.h"
#include "fs/fuse/direct_requests.h"
#include "fs/fuse/handshake.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/uring_transport.h"

namespace ashlar::fuse {
namespace {

// A worker serves one request at a time, so this many of one processor are under way at once.
constexpr unsigned kMinEntriesPerQueue = 2;
constexpr unsigned kMaxEntriesPerQueue = 8;

// libfuse reports why a mount failed only in words.
constexpr std::size_t kMaxLogLine = 512;

// Where it goes while the thread mounts: to who mounts, with the error.
thread_local std::string* mount_complaint = nullptr;

void log_from_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  char line[kMaxLogLine];
  if (std::vsnprintf(line, sizeof line, format, arguments) <= 0) return;
  line[std::strcspn(line, "\n")] = '\0';
  if (mount_complaint != nullptr && level <= FUSE_LOG_ERR) {
    mount_complaint->assign(line);
    return;
  }
  ashlar::log_line(level <= FUSE_LOG_ERR ? LogLevel::error : LogLevel::debug, line);
}

class ComplaintScope {
 public:
  ComplaintScope() { mount_complaint = &text_; }
  ~ComplaintScope() { mount_complaint = nullptr; }
  ComplaintScope(const ComplaintScope&) = delete;
  ComplaintScope& operator=(const ComplaintScope&) = delete;

  [[nodiscard]] std::string text_or(const char* otherwise) const {
    const std::string_view text(text_);
    return text.empty() ? otherwise : std::string(text.starts_with("fuse: ") ? text.substr(6) : text);
  }

 private:
  std::string text_;
};

// While it lives, what is written to standard error is kept: fusermount3 tells there why it refuses, and that of a
// daemon in the background leads nowhere.
class ErrorOutputScope {
 public:
  ErrorOutputScope()
      : before_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)),
        kept_(memfd_create("standard error", MFD_CLOEXEC)) {
    if (before_.get() >= 0 && kept_.get() >= 0) dup2(kept_.get(), STDERR_FILENO);
  }
  ~ErrorOutputScope() {
    const std::string rest = take();
    if (before_.get() >= 0) dup2(before_.get(), STDERR_FILENO);
    if (!rest.empty()) print(stderr, "{}\n", rest);
  }
  ErrorOutputScope(const ErrorOutputScope&) = delete;
  ErrorOutputScope& operator=(const ErrorOutputScope&) = delete;

  // What was written, in one line, without fusermount3's name; empty when nothing or taken before. What nobody takes is
  // written to standard error in the end.
  [[nodiscard]] std::string take() {
    constexpr std::string_view kSpeaker = "fusermount3: ";
    char buffer[kMaxLogLine];
    const ssize_t size = pread(kept_.get(), buffer, sizeof buffer, 0);
    static_cast<void>(!ftruncate(kept_.get(), 0));
    std::string_view text(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.starts_with(kSpeaker)) text.remove_prefix(kSpeaker.size());
    std::string line(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
  }

 private:
  FileDescriptor before_;
  FileDescriptor kept_;
};

// The mount itself; empty when it is done, otherwise why not.
std::string mount_with_reason(fuse_session* session, const std::string& mount_point, const ComplaintScope& complaint) {
  ErrorOutputScope output;
  if (fuse_session_mount(session, mount_point.c_str()) == 0) return {};
  const std::string told = output.take();
  return told.empty() ? complaint.text_or("is /dev/fuse there and the mount point yours?") : told;
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

// The first failure, if any, once all have begun or failed to; `working` counts those that have.
Status await(std::vector<std::future<Status>>& outcomes, std::size_t& working) {
  Status all;
  for (std::future<Status>& outcome : outcomes) {
    Status one = outcome.get();
    if (one) ++working;
    if (!one && all) all = std::move(one);
  }
  return all;
}

// libfuse's answers leave through the transport of the worker that serves the request.
ssize_t send_answer(int /*descriptor*/, iovec* parts, int count, void* /*edge*/) {
  return Worker::current().transport().send({parts, static_cast<std::size_t>(count)});
}

// libfuse insists on one; used by DevTransport alone.
ssize_t read_request(int descriptor, void* buffer, std::size_t size, void* /*edge*/) {
  return read(descriptor, buffer, size);
}

// st_dev of what is on top at `path`; nothing when that cannot be told. It sends the filesystem there no request, so it
// works before there are workers, and when there are none any more.
std::optional<dev_t> filesystem_at(const std::string& path) {
  struct statx status {};
  if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &status) != 0) {
    return std::nullopt;
  }
  return makedev(status.stx_dev_major, status.stx_dev_minor);
}

Status unmount_by_path(std::string path) {
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  std::string program = "fusermount3";
  std::string flags = "-uz";
  char* const arguments[] = {program.data(), flags.data(), path.data(), nullptr};
  pid_t child = 0;
  int outcome = 0;
  if (posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ) != 0 ||
      waitpid(child, &outcome, 0) != child || outcome != 0) {
    return fail(ErrorCode::not_permitted, "cannot be unmounted; use fusermount3 -u");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::mount(const MountOptions& options, Edge& edge) {
  // Before mounting, because the kernel makes its offer when it mounts.
  if (options.transport == TransportChoice::io_uring) TRY(probe_uring_transport(true));
  fuse_set_log_func(log_from_libfuse);
  const ComplaintScope complaint;
  Arguments arguments;
  if (!add_arguments(arguments, options)) return fail(ErrorCode::out_of_memory);
  const fuse_lowlevel_ops operations = all_operations();
  fuse_session* session = fuse_session_new(&arguments.list, &operations, sizeof operations, &edge);
  if (session == nullptr) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("FUSE refuses the mount options: {}", complaint.text_or("no reason given")));
  }
  if (const std::string refusal = mount_with_reason(session, options.mount_point, complaint); !refusal.empty()) {
    fuse_session_destroy(session);
    return fail(ErrorCode::not_permitted, fmt::format("cannot mount at {}: {}", options.mount_point, refusal));
  }
  std::unique_ptr<Session> mounted(new Session(session, edge, options));
  edge.connection = fuse_session_fd(session);
  fuse_custom_io io{};
  io.writev = send_answer;
  io.read = read_request;
  if (fuse_session_custom_io(session, &io, fuse_session_fd(session)) != 0) {
    return fail(ErrorCode::not_supported, "libfuse without custom I/O");
  }
  return mounted;
}

Session::Session(fuse_session* session, Edge& edge, const MountOptions& options)
    : session_(session),
      edge_(edge),
      mount_point_(options.mount_point),
      filesystem_(filesystem_at(options.mount_point)),
      on_block_device_(options.block_device),
      wanted_transport_(options.transport) {}

Session::~Session() {
  if (!threads_.empty()) {
    unmount();
    join();
  } else {
    fuse_session_unmount(session_);
  }
  fuse_session_destroy(session_);
}

// Not libfuse's: that closes the descriptor the workers still read from, and takes down whatever is on top.
void Session::unmount() {
  const std::lock_guard guard(unmounting_);
  if (filesystem_ && filesystem_at(mount_point_) != filesystem_) {
    ashlar::log(LogLevel::warning,
                "{}: not unmounted: what is there now is not this volume, but mounted over it, or the volume has been "
                "unmounted or moved and is in use still",
                mount_point_);
    return;
  }
  if (const Status done = unmount_by_path(mount_point_); !done) {
    ashlar::log(LogLevel::error, "{}: {}", mount_point_, done.error().message());
  }
}

Status Session::shake_hands(blockio::BlockDevice& device, const ServeOptions& options) {
  const Status possible = wanted_transport_ == TransportChoice::dev ? fail(ErrorCode::not_supported, "not asked for")
                                                                    : probe_uring_transport(false);
  auto handshake =
      std::make_unique<Handshake>(TRY(DevTransport::create(session_, options.block_size)), possible.has_value());
  const Handshake& outcome = *handshake;
  Worker worker(TRY(device.open_queue(options.queue)), std::move(handshake));
  const Worker::Scope scope(worker);
  const std::span<std::byte> request = TRY(worker.transport().receive());
  process(worker, request);
  if (outcome.agreed_on_io_uring()) {
    transport_ = TransportKind::io_uring;
    transport_reason_ = "the kernel offers it";
    return {};
  }
  if (wanted_transport_ == TransportChoice::io_uring) {
    return fail(ErrorCode::not_supported, "the kernel does not offer FUSE over io_uring for this mount");
  }
  transport_reason_ = possible ? "the kernel offers nothing else" : possible.error().message();
  return {};
}

Status Session::start(blockio::BlockDevice& device, const ServeOptions& options, std::function<void()> ended) {
  ended_ = std::move(ended);
  TRY(shake_hands(device, options));
  // In this order: until there is an entry in every ring the kernel sends nothing there, not even its farewell.
  std::size_t working = 0;
  Status all = start_dev_workers(device, options, working);
  if (all && transport_ == TransportKind::io_uring) all = start_ring_workers(device, options, working);
  if (all) all = start_announcer();
  if (all) return all;
  // The kernel asks for a farewell, so somebody must be there to answer; the destructor unmounts when nobody is.
  if (working != 0) unmount();
  join();
  return all;
}

Status Session::start_dev_workers(blockio::BlockDevice& device, const ServeOptions& options, std::size_t& working) {
  // Beside rings: for what the kernel still sends there, forgotten inodes and interrupts.
  const unsigned count = transport_ == TransportKind::io_uring ? 1 : options.threads;
  const auto crew = std::make_shared<Crew>(count);
  const auto make_transport = [this, block_size = options.block_size](blockio::IoQueue&) {
    return Result<std::unique_ptr<Transport>>(DevTransport::create(session_, block_size));
  };
  std::vector<std::future<Status>> outcomes;
  for (unsigned i = 0; i < count; ++i) outcomes.push_back(start_worker(device, options.queue, make_transport, crew));
  return await(outcomes, working);
}

Status Session::start_ring_workers(blockio::BlockDevice& device, const ServeOptions& options, std::size_t& working) {
  const unsigned queues = uring_queue_count();
  const unsigned entries = std::clamp(options.threads / queues, kMinEntriesPerQueue, kMaxEntriesPerQueue);
  blockio::QueueConfig config = options.queue;
  config.commands_to = fuse_session_fd(session_);
  std::vector<std::future<Status>> outcomes;
  for (unsigned queue = 0; queue < queues; ++queue) {
    const auto crew = std::make_shared<Crew>(entries);
    const auto make_transport = [place = UringEntryPlace{fuse_session_fd(session_), queue},
                                 block_size = options.block_size](blockio::IoQueue& io) {
      return Result<std::unique_ptr<Transport>>(UringTransport::create(io, place, block_size));
    };
    for (unsigned i = 0; i < entries; ++i) outcomes.push_back(start_worker(device, config, make_transport, crew));
  }
  return await(outcomes, working);
}

// Queue and transport are made on the thread that uses them, because they belong to it.
std::future<Status> Session::start_worker(blockio::BlockDevice& device, const blockio::QueueConfig& config,
                                          MakeTransport make_transport, const std::shared_ptr<Crew>& crew) {
  auto promise = std::make_shared<std::promise<Status>>();
  std::future<Status> outcome = promise->get_future();
  Result<std::thread> thread = start_thread([this, &device, config, make = std::move(make_transport), crew, promise] {
    Result<std::unique_ptr<blockio::IoQueue>> io = device.open_queue(config);
    if (!io) return promise->set_value(fail(std::move(io).error()));
    Result<std::unique_ptr<Transport>> transport = make(**io);
    if (!transport) return promise->set_value(fail(std::move(transport).error()));
    Worker worker(*std::move(io), *std::move(transport), crew);
    promise->set_value({});
    serve(worker);
  });
  if (thread) {
    threads_.push_back(*std::move(thread));
  } else {
    promise->set_value(fail(std::move(thread).error()));
  }
  return outcome;
}

Status Session::start_announcer() {
  announcer_ = TRY(start_thread([this] { edge_.late_errors->announce(fuse_session_fd(session_)); }));
  return {};
}

void Session::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  if (!announcer_.joinable()) return;
  edge_.late_errors->stop();
  announcer_.join();
}

void Session::serve(Worker& worker) {
  const Worker::Scope scope(worker);
  receive_loop(worker);
  if (ended_) ended_();
}

void Session::receive_loop(Worker& worker) {
  for (;;) {
    const Result<std::span<std::byte>> request = worker.transport().receive();
    if (!request) {
      ashlar::log(LogLevel::error, "{}: {}", mount_point_, request.error().message());
      unmount();  // without this worker some requests might never be answered
      return;
    }
    if (request->empty()) {
      fuse_session_exit(session_);
      return;
    }
    process(worker, *request);
  }
}

void Session::process(Worker& worker, std::span<std::byte> request) {
  const RequestGate::Pass pass(*edge_.gate);
  if (!pass) return refuse(worker, request);
  if (answer_directly(edge_, worker, request)) return;
  fuse_buf buffer{};
  buffer.mem = request.data();
  buffer.size = request.size();
  fuse_session_process_buf(session_, &buffer);
}

std::string Session::bdi_name() const {
  if (!filesystem_) return {};
  return fmt::format("{}:{}{}", major(*filesystem_), minor(*filesystem_), on_block_device_ ? "-fuseblk" : "");
}

}  // namespace ashlar::fuse
