#include "fs/fuse/worker.h"

#include <linux/fuse.h>

#include <cassert>

namespace ashlar::fuse {
namespace {

static_assert(sizeof(fuse_in_header) + sizeof(fuse_write_in) == 80);

// libfuse reads up to its own buffer size: the largest payload and a page for headers.
constexpr std::size_t kRequestSize = kMaxTransfer + 2 * blockio::kBufferAlignment;

thread_local Worker* current_worker = nullptr;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(blockio::BlockDevice& device, const blockio::QueueConfig& config,
                                               std::uint32_t block_size) {
  std::unique_ptr<Worker> worker(
      new Worker(TRY(device.open_queue(config)), kMaxTransfer + 2 * std::size_t{block_size}));
  if (worker->request_.empty() || worker->answer_.empty()) return fail(ErrorCode::out_of_memory);
  return worker;
}

Worker::Worker(std::unique_ptr<blockio::IoQueue> io, std::size_t answer_size)
    : io_(std::move(io)), request_(kRequestOffset + kRequestSize), answer_(answer_size) {}

Worker& Worker::current() noexcept {
  assert(current_worker != nullptr);
  return *current_worker;
}

Worker::Scope::Scope(Worker& worker) noexcept { current_worker = &worker; }
Worker::Scope::~Scope() { current_worker = nullptr; }

}  // namespace ashlar::fuse
