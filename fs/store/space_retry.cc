#include "fs/store/space_retry.h"

namespace ashlar::store {
namespace {

// Checkpoints a commit or allocation may ask for before it gives up: the first frees what waits, a second what the
// first one's own node writes gave back.
constexpr int kMaxCheckpoints = 2;

}  // namespace

Result<bool> SpaceRetry::make_space() {
  if (!nothing_set_aside_.owns_lock()) {
    nothing_set_aside_.lock();
    return true;
  }
  if (checkpoints_++ == kMaxCheckpoints || !state_.checkpoint_frees_space()) return false;
  TRY(state_.checkpoint(io_, false, checkpoints_seen_));
  return true;
}

void SpaceRetry::start_over() noexcept {
  checkpoints_ = 0;
  if (nothing_set_aside_.owns_lock()) nothing_set_aside_.unlock();
}

}  // namespace ashlar::store
