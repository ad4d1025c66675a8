#include "fs/store/space_retry.h"

namespace ashlar::store {
namespace {

// Checkpoints a commit or allocation may ask for before it gives up: the first frees what waits, a second what the
// first one's own node writes gave back.
constexpr int kMaxCheckpoints = 2;
// Times that an allocation waits for blocks that are being discarded.
constexpr int kMaxDiscardWaits = 1000;

}  // namespace

void SpaceRetry::begin() noexcept {
  checkpoints_seen_ = state_.checkpoints.load();
  discards_seen_ = state_.discards.load();
}

Result<bool> SpaceRetry::make_space() {
  if (discard_waits_++ < kMaxDiscardWaits && waited_for_discard()) {
    start_over();
    return true;
  }
  if (checkpoints_++ == kMaxCheckpoints || !state_.checkpoint_frees_space()) return false;
  TRY(state_.checkpoint(io_, false, checkpoints_seen_));
  return true;
}

// Whether blocks were set aside for discarding since the attempt began, which have been given back.
bool SpaceRetry::waited_for_discard() const {
  const std::uint64_t now = state_.discards.load();
  if (now % 2 != 0) state_.discards.wait(now);
  return now % 2 != 0 || now != discards_seen_;
}

}  // namespace ashlar::store
