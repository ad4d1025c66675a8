#include "tests/blockio/scripted_engine.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace ashlar::blockio::testing {

std::size_t ScriptedEngine::start(std::span<Transfer* const> transfers) {
  if (refusals > 0) {
    --refusals;
    return 0;
  }
  const std::size_t taken = std::min(transfers.size(), most_a_start);
  for (Transfer* transfer : transfers.first(taken)) {
    started.push_back(*transfer);
    const Verdict for_watches = refuses_watches ? Verdict{Verdict::Way::error, EINVAL} : Verdict{Verdict::Way::hang, 0};
    const Verdict verdict = transfer->kind == OpKind::watch ? for_watches : script(*transfer);
    if (verdict.way == Verdict::Way::hang) {
      hanging_.push_back(transfer);
    } else {
      perform(*transfer, verdict);
    }
  }
  return taken;
}

void ScriptedEngine::perform(Transfer& transfer, const Verdict& verdict) {
  const std::uint64_t whole = is_transfer(transfer.kind) ? transfer.length : 0;
  transfer.result = verdict.way == Verdict::Way::error ? -verdict.value : static_cast<std::int64_t>(whole);
  if (verdict.way == Verdict::Way::bytes) transfer.result = std::min(verdict.value, transfer.result);
  std::int64_t left = transfer.result;
  std::uint64_t offset = transfer.offset;
  for (unsigned i = 0; i < transfer.segment_count && left > 0; ++i) {
    const iovec& segment = transfer.segments[i];
    const std::size_t length = std::min(segment.iov_len, static_cast<std::size_t>(left));
    const std::span memory(static_cast<std::byte*>(segment.iov_base), length);
    if (transfer.kind == OpKind::read) {
      image.read(offset, memory);
    } else {
      image.write(offset, memory);
    }
    offset += length;
    left -= static_cast<std::int64_t>(length);
  }
  ended_.push_back(&transfer);
}

std::size_t ScriptedEngine::reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                                 std::span<Transfer*> finished) {
  ++reaps;
  most_awaited = std::max(most_awaited, min);
  if (failure_) return 0;
  if (timeout) longest_timeout = std::max(longest_timeout, *timeout);
  if (most_wait) timeout = std::min(timeout.value_or(*most_wait), *most_wait);
  const auto end = timeout ? std::optional(std::chrono::steady_clock::now() + *timeout) : std::nullopt;
  for (;;) {
    for (std::size_t i = hanging_.size(); i > 0; --i) {
      Transfer* const watch = hanging_[i - 1];
      pollfd source{watch->watched, POLLIN, 0};
      if (watch->kind != OpKind::watch || poll(&source, 1, 0) != 1) continue;
      watch->result = POLLIN;
      ended_.push_back(watch);
      hanging_.erase(hanging_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    }
    if (ended_.size() >= min || (end && std::chrono::steady_clock::now() >= *end)) break;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  std::size_t count = 0;
  while (count < finished.size() && !ended_.empty()) {
    finished[count++] = ended_.front();
    ended_.pop_front();
  }
  return count;
}

void ScriptedEngine::cancel(Transfer& transfer) {
  const auto found = std::find(hanging_.begin(), hanging_.end(), &transfer);
  if (found == hanging_.end() || (!can_cancel && transfer.kind != OpKind::watch)) return;
  hanging_.erase(found);
  transfer.result = -ECANCELED;
  ended_.push_back(&transfer);
}

void ScriptedEngine::release() {
  for (Transfer* transfer : std::exchange(hanging_, {})) {
    if (transfer->kind == OpKind::watch) {
      hanging_.push_back(transfer);
    } else {
      perform(*transfer, script(*transfer));
    }
  }
}

}  // namespace ashlar::blockio::testing
