#include "fs/fuse/worker.h"

#include <cassert>

namespace ashlar::fuse {
namespace {

thread_local Worker* current_worker = nullptr;

}  // namespace

Worker& Worker::current() noexcept {
  assert(current_worker != nullptr);
  return *current_worker;
}

Worker::Scope::Scope(Worker& worker) noexcept { current_worker = &worker; }
Worker::Scope::~Scope() { current_worker = nullptr; }

}  // namespace ashlar::fuse
