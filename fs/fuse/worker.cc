#include "fs/fuse/worker.h"

#include <cassert>
#include <utility>

namespace ashlar::fuse {
namespace {

thread_local Worker* current_worker = nullptr;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(blockio::BlockDevice& device, const blockio::QueueConfig& config,
                                               std::unique_ptr<Transport> transport) {
  return std::unique_ptr<Worker>(new Worker(TRY(device.open_queue(config)), std::move(transport)));
}

Worker::Worker(std::unique_ptr<blockio::IoQueue> io, std::unique_ptr<Transport> transport)
    : io_(std::move(io)), transport_(std::move(transport)) {}

Worker& Worker::current() noexcept {
  assert(current_worker != nullptr);
  return *current_worker;
}

Worker::Scope::Scope(Worker& worker) noexcept { current_worker = &worker; }
Worker::Scope::~Scope() { current_worker = nullptr; }

}  // namespace ashlar::fuse
