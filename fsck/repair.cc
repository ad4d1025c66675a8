#include "fsck/repair.h"

#include <ctime>

#include "fsck/context.h"
#include "fsck/generation_writer.h"
#include "fsck/item_filter.h"
#include "fsck/rehash.h"
#include "fsck/repair_plan.h"
#include "fsck/salvage.h"
#include "fsck/superblock_search.h"
#include "fsck/tree_builder.h"

namespace ashlar::fsck {
namespace {

using format::Key;

// Damage behind damage behind damage; more would be a repair that goes round in circles.
constexpr int kMaxRounds = 4;
// Where the superblock is lost, numbers of removed inodes may have been above those that are left.
constexpr std::uint64_t kInodeNumbersSkipped = 1U << 24;

// Puts the plan's additions where they belong in the order of keys.
class AdditionMerger {
 public:
  AdditionMerger(const RepairPlan& plan, const format::Layout& layout, TreeBuilder& builder)
      : next_(plan.additions.begin()),
        end_(plan.additions.end()),
        longest_(format::max_value_size(layout.node_size())),
        builder_(builder) {}

  [[nodiscard]] Status take(const Key& key, std::span<const std::byte> value) {
    while (next_ != end_ && next_->first < key) TRY(take_next());
    if (next_ == end_ || next_->first != key) return builder_.add(key, value);
    // Names whose hashes are equal. Where they do not fit, the next round finds another.
    std::vector<std::byte> both(value.begin(), value.end());
    both.insert(both.end(), next_->second.begin(), next_->second.end());
    ++next_;
    return builder_.add(key, both.size() <= longest_ ? std::span<const std::byte>(both) : value);
  }
  [[nodiscard]] Status finish() {
    while (next_ != end_) TRY(take_next());
    return {};
  }

 private:
  [[nodiscard]] Status take_next() {
    const auto& [key, value] = *next_++;
    return builder_.add(key, value);
  }

  std::map<Key, std::vector<std::byte>>::const_iterator next_;
  const decltype(next_) end_;
  const std::size_t longest_;
  TreeBuilder& builder_;
};

class Rebuild {
 public:
  Rebuild(blockio::BlockDevice& device, blockio::IoQueue& io, const format::Superblock& superblock)
      : device_(device),
        io_(io),
        superblock_(superblock),
        generation_(superblock.generation + 1),
        context_(device, io, quiet_, superblock) {}

  // It was made by a search and has a new seed for names.
  void take_new_seed() { has_new_seed_ = true; }

  [[nodiscard]] Status run() {
    if (generation_.value() == 0) return fail(ErrorCode::corrupt_structure, "no generation can follow this one");
    TRY(pass_log(context_));
    StoredBitmaps stored(context_);
    TRY(stored.read_table());
    context_.report = Report{};  // a table that is lost must not end the walk
    RepairPlan plan;
    BlockMap kept = TRY(learn(context_, plan));
    // The root that was found may be a part of the tree only, even if nothing is missing below it.
    const bool looks_whole = context_.lost.empty();
    if (has_new_seed_) context_.lost.emplace_back();
    if (!context_.lost.empty()) {
      TRY(salvage_lost_items(context_, stored, kept, looks_whole));
      // The walk claims blocks, so it takes a context of its own to walk again.
      CheckContext again(device_, io_, quiet_, superblock_);
      again.overlay = context_.overlay;
      again.salvaged = context_.salvaged;
      again.next_inode = context_.next_inode;
      plan = RepairPlan{};
      kept = TRY(learn(again, plan));
    }
    plan_names(plan, superblock_);
    return write(plan, stored, kept);
  }

 private:
  [[nodiscard]] Result<BlockMap> learn(CheckContext& context, RepairPlan& plan) {
    plan.next_inode = context.next_inode;
    ItemFilter filter(context, plan);
    TRY(read_items(context, filter));
    if (has_new_seed_) plan.next_inode += kInodeNumbersSkipped;
    return std::move(filter.kept_blocks());
  }

  [[nodiscard]] Status read_items(CheckContext& context, ItemFilter& filter) {
    const ItemVisitor take = [&filter](const Key& key, std::span<const std::byte> value) {
      return filter.take(key, value);
    };
    if (has_new_seed_) {
      Rehash rehash(superblock_.hash_seed, take);
      TreeWalk walk(context,
                    [&rehash](const Key& key, std::span<const std::byte> value) { return rehash.take(key, value); });
      TRY(walk.run());
      TRY(rehash.finish());
    } else {
      TreeWalk walk(context, take);
      TRY(walk.run());
    }
    return filter.finish();
  }

  [[nodiscard]] Status write(RepairPlan& plan, const StoredBitmaps& stored, BlockMap& kept) {
    TreeBuilder builder(context_, generation_, kept, context_.owned);
    AdditionMerger merger(plan, context_.layout, builder);
    CheckContext reading(device_, io_, quiet_, superblock_);
    reading.overlay = context_.overlay;
    reading.salvaged = context_.salvaged;
    ItemFilter filter(reading, plan,
                      [&merger](const Key& key, std::span<const std::byte> value) { return merger.take(key, value); });
    TRY(read_items(reading, filter));
    TRY(merger.finish());
    format::Superblock next = superblock_;
    next.root = format::store(TRY(builder.finish()));
    next.generation = generation_.value();
    next.node_count = builder.nodes();
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) next.item_count[kind] = builder.items_of(kind);
    next.next_inode = plan.next_inode;
    // What is in the log is in the tree now; chunks of the old epoch mean nothing any more.
    next.log_epoch = superblock_.log_epoch + 1 == 0 ? 1 : superblock_.log_epoch + 1;
    next.log_start_chain = 0;
    next.flags = format::kCleanlyUnmounted;
    next.written_time = static_cast<std::uint64_t>(std::time(nullptr));
    return write_generation(context_, stored, kept, next);
  }

  blockio::BlockDevice& device_;
  blockio::IoQueue& io_;
  const format::Superblock superblock_;
  bool has_new_seed_ = false;
  const Generation generation_;
  const CheckOptions quiet_{};
  CheckContext context_;
};

}  // namespace

Status rebuild_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
  Report ignored;  // the check before told it all
  CheckOptions quiet;
  quiet.search = options.search;
  const std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, quiet, ignored));
  if (!superblock) {
    const format::Superblock found = TRY(search_superblock(device, io, options, std::nullopt));
    Rebuild rebuild(device, io, found);
    rebuild.take_new_seed();
    return rebuild.run();
  }
  // For writing.
  TRY(format::validate(*superblock, device.geometry().size, true));
  if (ignored.has(FindingId::superblock_slot_lost)) {
    Result<format::Superblock> newer = search_superblock(device, io, options, superblock);
    if (newer) return Rebuild(device, io, *newer).run();
    if (newer.error().code() != ErrorCode::not_found) return fail(std::move(newer).error());
  }
  return Rebuild(device, io, *superblock).run();
}

Status repair_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options, Report& report) {
  const auto needs_more = [](const Report& of) { return of.takes(Repair::recount) || of.takes(Repair::rebuild); };
  Report after;
  for (int round = 0; round < kMaxRounds; ++round) {
    TRY(rebuild_volume(device, io, options));
    after = TRY(check_volume(device, io, options));
    if (!needs_more(after)) break;
  }
  report.mark_repaired(after);
  return {};
}

}  // namespace ashlar::fsck
