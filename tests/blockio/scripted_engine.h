// An engine over memory that does what a test tells it: for the policy above the engines.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "blockio/engine.h"
#include "blockio/memory_device.h"

namespace ashlar::blockio::testing {

// What a transfer comes to. Seen in the order in which transfers are started.
struct Verdict {
  enum class Way : std::uint8_t { whole, bytes, error, hang };  // hang: in flight until cancelled or released
  Way way = Way::whole;
  std::int64_t value = 0;  // bytes or errno
};

class ScriptedEngine final : public Engine {
 public:
  using Script = std::function<Verdict(const Transfer&)>;

  explicit ScriptedEngine(std::uint64_t size) : image(size) {}

  bool handles(OpKind kind) const noexcept override { return kind != OpKind::compute && handled(kind); }
  std::size_t start(std::span<Transfer* const> transfers) override;
  void kick() override { ++kicks; }
  std::size_t reap(std::size_t min, std::optional<std::chrono::nanoseconds> timeout,
                   std::span<Transfer*> finished) override;
  void cancel(Transfer& transfer) override;

  // Ends the hanging transfers as the script says now.
  void release();
  // From now on nothing works.
  void break_down(Error why) { failure_ = std::move(why); }

  MemoryImage image;
  Script script = [](const Transfer&) { return Verdict{}; };
  std::function<bool(OpKind)> handled = [](OpKind) { return true; };
  std::size_t most_a_start = SIZE_MAX;                // taken at one start()
  int refusals = 0;                                   // of start(), that take nothing
  bool refuses_watches = false;                       // they end with EINVAL at once
  std::optional<std::chrono::nanoseconds> most_wait;  // of one reap(), which then ends early
  std::chrono::nanoseconds longest_timeout{0};        // that reap() was given
  bool can_cancel = true;
  std::vector<Transfer> started;  // as they were
  int kicks = 0;
  int reaps = 0;
  std::size_t most_awaited = 0;  // transfers, at one reap()

 private:
  void perform(Transfer& transfer, const Verdict& verdict);

  std::deque<Transfer*> ended_;
  std::vector<Transfer*> hanging_;
};

}  // namespace ashlar::blockio::testing
