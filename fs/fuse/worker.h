// What a thread that serves requests owns, and how an operation finds it.
#pragma once

#include <memory>
#include <utility>

#include "blockio/io_queue.h"
#include "fs/fuse/crew.h"
#include "fs/fuse/transport.h"

namespace ashlar::fuse {

// One thread's queue and transport. Made and used by that thread alone.
class Worker {
 public:
  // The transport may use the queue. Who is in no crew serves alone, and never waits for the kernel.
  Worker(std::unique_ptr<blockio::IoQueue> io, std::unique_ptr<Transport> transport,
         std::shared_ptr<Crew> crew = std::make_shared<Crew>(1)) noexcept
      : io_(std::move(io)), transport_(std::move(transport)), crew_(std::move(crew)) {}

  [[nodiscard]] blockio::IoQueue& io() noexcept { return *io_; }
  [[nodiscard]] Transport& transport() noexcept { return *transport_; }
  [[nodiscard]] Crew& crew() noexcept { return *crew_; }

  // The worker that runs on the calling thread. An operation is called by libfuse, which hands on no context of the
  // thread's.
  [[nodiscard]] static Worker& current() noexcept;
  class Scope {
   public:
    explicit Scope(Worker& worker) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

 private:
  std::unique_ptr<blockio::IoQueue> io_;
  std::unique_ptr<Transport> transport_;
  std::shared_ptr<Crew> crew_;
};

}  // namespace ashlar::fuse
