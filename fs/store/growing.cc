// Making the volume larger: a checkpoint whose superblock has another geometry. Commits go on meanwhile; what they
// take, and what the log says of it, lies in the volume as it was until that superblock is durable.
#include <fmt/core.h>

#include "fs/base/log.h"
#include "fs/store/store_state.h"

namespace ashlar::store {
namespace {

std::uint64_t bytes_of(const format::Layout& layout) noexcept { return layout.block_count() * layout.block_size(); }

// Lets go of what was held for growing, and of the table's places unless they were made use of.
class GrowthHold {
 public:
  GrowthHold(Allocator& allocator, Growth& growth) noexcept : allocator_(allocator), growth_(growth) {}
  ~GrowthHold() {
    allocator_.release_hold(growth_);
    if (growth_.begun) return;
    for (const BlockRun& table : growth_.tables) allocator_.cancel(table);
  }
  GrowthHold(const GrowthHold&) = delete;
  GrowthHold& operator=(const GrowthHold&) = delete;

 private:
  Allocator& allocator_;
  Growth& growth_;
};

}  // namespace

Result<format::Layout> Store::State::plan_growth(std::uint64_t device_bytes, std::optional<std::uint64_t> wanted) {
  const std::uint64_t now = bytes_of(layout());
  if (device_bytes < now) {
    return fail(ErrorCode::device_too_small,
                fmt::format("the volume has {} bytes and {} has only {} by now: it was cut short", now, device.name(),
                            device_bytes));
  }
  if (wanted && *wanted > device_bytes && blockio::is_block_device(device.geometry().kind)) {
    return fail(ErrorCode::device_too_small,
                fmt::format("{} has only {} bytes: make the device larger first", device.name(), device_bytes));
  }
  return layout().grown(wanted.value_or(device_bytes));
}

Result<BlockRun> Store::State::allocate_table(blockio::IoQueue& io, std::uint64_t blocks) {
  AllocationRequest request;
  request.minimum = request.maximum = blocks;
  request.leave_room = false;
  Result<BlockRun> run = allocate(io, request);
  if (run || run.error().code() != ErrorCode::no_space) return run;
  return fail(
      ErrorCode::no_space,
      fmt::format("no room for a larger group table, which needs {} free blocks in a row: grow by more than one "
                  "block group, or remove something",
                  blocks));
}

Status Store::State::place_tables(blockio::IoQueue& io, Growth& growth) {
  const std::uint64_t blocks = std::uint64_t{growth.layout.group_table_blocks()} * format::kSuperblockSlots;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    if (growth.layout.group_table_run(copy).count != 0) continue;
    growth.tables.push_back(TRY(allocate_table(io, blocks)));
    growth.layout.place_group_table(copy, growth.tables.back().first);
  }
  return growth.layout.check();
}

Status Store::State::grow_to(blockio::IoQueue& io, const format::Layout& larger) {
  const std::uint64_t before = bytes_of(layout());
  Growth growth{larger, {}, {}, false};
  {
    const GrowthHold hold(*allocator, growth);
    TRY(place_tables(io, growth));
    TRY(allocator->hold_for_growth(io, growth));
    TRY(checkpoint(io, false, std::nullopt, &growth));
  }
  reserve_nodes.store(reserve_for(growth.layout), std::memory_order_relaxed);
  ashlar::log(LogLevel::info, "{}: grown from {} to {} bytes", device.name(), before, bytes_of(growth.layout));
  // Then the other slot's superblock has the new size as well: whichever is damaged, what is left tells of all of it.
  return checkpoint(io, false);
}

Result<GrowOutcome> Store::grow(blockio::IoQueue& io, std::optional<std::uint64_t> wanted, bool dry_run) {
  State& state = *state_;
  const std::scoped_lock one(state.grow_lock);
  TRY(state.check_writable());
  GrowOutcome outcome;
  outcome.device = TRY(state.device.measure());
  const format::Layout larger = TRY(state.plan_growth(outcome.device, wanted));
  outcome.before = bytes_of(state.layout());
  outcome.after = bytes_of(larger);
  if (dry_run || outcome.after == outcome.before) return outcome;
  if (wanted && *wanted > outcome.device) {
    TRY(state.device.extend(*wanted));
    outcome.device = TRY(state.device.measure());
  }
  TRY(state.grow_to(io, larger));
  return outcome;
}

}  // namespace ashlar::store
