// A device that goes wrong where a test wants it to.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "blockio/block_device.h"

namespace ashlar::blockio {

enum class Fault : std::uint8_t {
  none,
  fail,       // the operation fails with io_error and does nothing
  lose,       // a write or flush says it succeeded and did nothing
  flip_bit,   // a read returns one wrong bit
  shorten,    // half of it (a sector at least) is moved and it fails with short_transfer, as when a device shrank
  delay,      // it goes right, and completes kFaultDelay later than it would have
  misdirect,  // a write lands one sector-aligned transfer length further on, a read comes from there
};

inline constexpr std::chrono::milliseconds kFaultDelay{5};

// What a plan is asked about: the operation and its index among all that the device was given, from 0.
struct FaultQuestion {
  std::uint64_t index = 0;
  const IoOp& op;
};
using FaultPlan = std::function<Fault(const FaultQuestion&)>;

// Plans. Operations are counted from 0; `one_in` at least 1.
[[nodiscard]] FaultPlan fail_once(std::uint64_t index);
[[nodiscard]] FaultPlan fail_from(std::uint64_t index);
[[nodiscard]] FaultPlan fail_nth(OpKind kind, std::uint64_t nth);  // the nth of that kind, from 0
[[nodiscard]] FaultPlan at_random(std::uint64_t seed, std::uint32_t one_in, Fault fault);

// Wraps a device, which outlives it. Thread-safe as that is. Its queues keep the contract of all others. Plans are
// asked about operations on the device, and so not about watches, computations and what is refused. Statistics are
// those of the wrapped queue.
class FaultyDevice final : public BlockDevice {
 public:
  explicit FaultyDevice(BlockDevice& inner) noexcept : inner_(inner) {}

  [[nodiscard]] const Geometry& geometry() const noexcept override { return inner_.geometry(); }
  [[nodiscard]] const std::string& name() const noexcept override { return inner_.name(); }
  [[nodiscard]] Result<std::uint64_t> measure() override { return inner_.measure(); }
  [[nodiscard]] Status extend(std::uint64_t size) override { return inner_.extend(size); }
  [[nodiscard]] Result<std::unique_ptr<IoQueue>> open_queue(const QueueConfig& config) override;

  void add_statistics_to(QueueStatistics& sum) const override { inner_.add_statistics_to(sum); }

  // Counting starts anew.
  void set_plan(FaultPlan plan);
  [[nodiscard]] std::uint64_t operations() const;  // seen since the plan was set

 private:
  friend class FaultyQueue;
  [[nodiscard]] Fault decide(const IoOp& op);

  BlockDevice& inner_;
  mutable std::mutex mutex_;
  FaultPlan plan_;                // guarded by mutex_
  std::uint64_t operations_ = 0;  // guarded by mutex_
};

}  // namespace ashlar::blockio
