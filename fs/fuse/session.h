// A mount: libfuse's session, served by worker threads that each own a block queue.
#pragma once

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "blockio/block_device.h"
#include "fs/base/result.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {

struct MountOptions {
  std::string source;  // shown in /proc/mounts
  std::string mount_point;
  std::vector<std::string> options;  // for the kernel and libfuse: ro, nodev, allow_other, ...
  TransportChoice transport = TransportChoice::automatic;
  bool block_device = false;  // mount as fuseblk: umount and syncfs then wait for the daemon
};

struct ServeOptions {
  unsigned threads = 4;
  blockio::QueueConfig queue;
  std::uint32_t block_size = 0;
};

class Session {
 public:
  // Mounts. The edge outlives the session. Errors carry a line for people.
  [[nodiscard]] static Result<std::unique_ptr<Session>> mount(const MountOptions& options, Edge& edge);
  ~Session();  // unmounts if need be
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Starts the workers. `ended` runs on a worker's thread when the first of them sees the end of the connection.
  [[nodiscard]] Status start(blockio::BlockDevice& device, const ServeOptions& options, std::function<void()> ended);
  // Waits for the workers; returns once nothing is served any more.
  void join();
  // Asks the kernel to take the mount down; the workers end when it has, and when its last user is gone. Does nothing
  // but log why, when something else is mounted over it: that would go instead. It may be called again.
  void unmount();

  // After start(): how requests come, and why so, in words for people.
  [[nodiscard]] TransportKind transport() const noexcept { return transport_; }
  [[nodiscard]] const std::string& transport_reason() const noexcept { return transport_reason_; }

  // Of the mount, in /sys/class/bdi; that of a block device's mount is not the device's own. Empty when unknown.
  [[nodiscard]] std::string bdi_name() const;

 private:
  Session(fuse_session* session, Edge& edge, const MountOptions& options);
  // The INIT request; afterwards transport_ is settled.
  [[nodiscard]] Status shake_hands(blockio::BlockDevice& device, const ServeOptions& options);
  // Of the one kind or the other, until each has begun or has failed to; `working` grows by those that have begun.
  [[nodiscard]] Status start_dev_workers(blockio::BlockDevice& device, const ServeOptions& options,
                                         std::size_t& working);
  [[nodiscard]] Status start_ring_workers(blockio::BlockDevice& device, const ServeOptions& options,
                                          std::size_t& working);
  // Given the worker's queue.
  using MakeTransport = std::function<Result<std::unique_ptr<Transport>>(blockio::IoQueue& io)>;
  // Runs a worker on a thread of its own; the future tells whether it could begin.
  [[nodiscard]] std::future<Status> start_worker(blockio::BlockDevice& device, const blockio::QueueConfig& config,
                                                 MakeTransport make_transport, const std::shared_ptr<Crew>& crew);
  [[nodiscard]] Status start_announcer();
  void serve(Worker& worker);
  void receive_loop(Worker& worker);
  void process(Worker& worker, std::span<std::byte> request);

  fuse_session* session_;
  Edge& edge_;
  std::string mount_point_;
  const std::optional<dev_t> filesystem_;  // its st_dev; none when the kernel does not tell
  std::mutex unmounting_;
  const bool on_block_device_;
  std::vector<std::thread> threads_;  // the workers
  std::thread announcer_;             // of late errors
  std::function<void()> ended_;
  const TransportChoice wanted_transport_;
  TransportKind transport_ = TransportKind::dev;
  std::string transport_reason_;
};

}  // namespace ashlar::fuse
