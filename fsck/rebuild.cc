#include "fsck/rebuild.h"

#include <algorithm>
#include <ctime>

#include "fsck/context.h"
#include "fsck/generation_writer.h"
#include "fsck/item_filter.h"
#include "fsck/name_plan.h"
#include "fsck/rehash.h"
#include "fsck/salvage.h"
#include "fsck/tree_builder.h"

namespace ashlar::fsck {
namespace {

using format::Key;

// Where the superblock is lost, numbers of removed inodes may have been above those that are left.
constexpr std::uint64_t kInodeNumbersSkipped = 1U << 24;

// Of a whole repair, as progress is told.
constexpr ProgressSpan kLearning{Pass::repair, 0.0, 0.3};
constexpr ProgressSpan kSalvaging{Pass::repair, 0.3, 0.5};
constexpr ProgressSpan kLearningAgain{Pass::repair, 0.5, 0.6};
constexpr ProgressSpan kPlanning{Pass::repair, 0.6, 0.6};  // how often the volume is read for that is not known
constexpr ProgressSpan kWriting{Pass::repair, 0.6, 0.9};
constexpr ProgressSpan kFinishing{Pass::repair, 0.9, 1.0};

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
  Rebuild(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
          const format::Superblock& superblock, bool has_new_seed)
      : superblock_(superblock),
        has_new_seed_(has_new_seed),
        generation_(superblock.generation + 1),
        context_(device, io, options.to_read_only(), superblock) {}

  [[nodiscard]] Result<Rebuilt> run() {
    if (generation_.value() == 0) return fail(ErrorCode::corrupt_structure, "no generation can follow this one");
    TRY(pass_log(context_));
    StoredBitmaps stored(context_);
    TRY(stored.read_table());
    context_.report = Report{};  // a table that is lost must not end the walk
    context_.begin_progress(kLearning);
    Learned learned = TRY(learn(context_));
    // The root that was found may be a part of the tree only, even if nothing is missing below it.
    const bool looks_whole = context_.lost.empty();
    if (has_new_seed_) context_.lost.add(KeyRange{});
    if (context_.lost.empty()) {
      TRY(plan(context_, learned));
      if (!tree_can_stay(learned)) TRY(write_tree(context_, learned));
    } else {
      context_.forget_records();
      context_.begin_progress(kSalvaging);
      TRY(salvage_lost_items(context_, stored, learned.kept, looks_whole));
      // The walk claims blocks, so it takes a context of its own to walk again.
      context_.begin_progress(kLearningAgain);
      CheckContext again = context_.to_read_again();
      learned = TRY(learn(again));
      TRY(plan(again, learned));
      TRY(write_tree(again, learned));
    }
    context_.begin_progress(kFinishing);
    TRY(write_generation(context_, stored, learned.kept, next_superblock(learned)));
    return Rebuilt{std::move(learned.plan.given_up), learned.plan.put_off()};
  }

 private:
  struct Learned {
    Learned(std::size_t most_changes, const format::Layout& layout) : plan(most_changes), kept(layout) {}

    RepairPlan plan;
    BlockMap kept;  // in the end all that is in use
    format::NodePointer root;
    std::uint64_t nodes = 0;
    std::array<std::uint64_t, format::kItemKindLimit> items{};
    LostKeys lost;  // to be the same whenever it is read again
  };

  // The plan lacks what becomes of names; `context` has what is needed for that.
  [[nodiscard]] Result<Learned> learn(CheckContext& context) {
    Learned learned(context.options.most_changes, context.layout);
    learned.root = format::load(superblock_.root);
    learned.plan.next_inode = context.next_inode;
    ItemFilter filter(context, context, learned.plan, ItemFilter::Task::learn);
    const Counts counts = TRY(read_items(context, filter));
    learned.nodes = counts.nodes;
    learned.items = counts.items;
    if (has_new_seed_) {
      learned.plan.next_inode = std::min(learned.plan.next_inode + kInodeNumbersSkipped, format::kInodeNumberLimit);
    }
    learned.kept = std::move(filter.kept_blocks());
    learned.lost = context.lost;
    return learned;
  }

  [[nodiscard]] Status plan(CheckContext& records, Learned& learned) {
    records.begin_progress(kPlanning);
    PlanReaders readers;
    readers.window = [&](CheckContext& window) -> Status {
      CheckContext reading = window.to_read_again();
      const std::size_t directories = window.inodes.size();
      ItemFilter filter(reading, window, learned.plan, ItemFilter::Task::learn_more);
      TRY(read_items_again(reading, filter, learned));
      window.merge_inodes(directories);
      return {};
    };
    readers.names_in = [&](const std::set<std::uint64_t>& directories, const NameVisitor& visit) {
      CheckContext reading = records.to_read_again();
      const auto next = [&](std::uint64_t from) -> std::optional<std::uint64_t> {
        const auto found = directories.lower_bound(from);
        return found == directories.end() ? std::nullopt : std::optional(*found);
      };
      return read_names(reading, next, visit);
    };
    TRY(plan_names(records, learned.plan, readers));
    records.forget_records();
    return {};
  }

  // What the tree has, before the log.
  struct Counts {
    std::uint64_t nodes = 0;
    std::array<std::uint64_t, format::kItemKindLimit> items{};
  };
  [[nodiscard]] Result<Counts> read_items(CheckContext& context, ItemFilter& filter) const {
    Rehash rehash(superblock_.hash_seed,
                  [&filter](const Key& key, std::span<const std::byte> value) { return filter.take(key, value); });
    TreeWalk walk(context, [&](const Key& key, std::span<const std::byte> value) {
      return has_new_seed_ ? rehash.take(key, value) : filter.take(key, value);
    });
    TRY(walk.run());
    TRY(rehash.finish());
    TRY(filter.finish());
    Counts counts;
    counts.nodes = walk.nodes();
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) counts.items[kind] = walk.items_of(kind);
    return counts;
  }
  // What is missing now would be missing from the volume for good.
  [[nodiscard]] Status read_items_again(CheckContext& reading, ItemFilter& filter, const Learned& learned) const {
    TRY(read_items(reading, filter));
    return reading.lost == learned.lost ? Status{} : fail(ErrorCode::io_error, "the device reads differently");
  }

  // Where only what is counted is wrong there is nothing to write a tree for; nor is room needed then.
  [[nodiscard]] bool tree_can_stay(Learned& learned) const {
    const bool is_sound = context_.lost.empty() && !context_.report.takes(Repair::rebuild);
    if (has_new_seed_ || !is_sound || !context_.overlay->empty() || !learned.plan.keeps_all()) return false;
    BlockMap in_use = learned.kept;
    if (!in_use.claim_all(context_.owned)) return false;  // a node where a file's contents are
    learned.kept = std::move(in_use);
    return true;
  }

  [[nodiscard]] Status write_tree(CheckContext& records, Learned& learned) {
    context_.begin_progress(kWriting);
    TreeBuilder builder(context_, generation_, learned.kept, context_.owned);
    AdditionMerger merger(learned.plan, context_.layout, builder);
    CheckContext reading = context_.to_read_again();
    ItemFilter filter(reading, records, learned.plan, ItemFilter::Task::hand_on,
                      [&merger](const Key& key, std::span<const std::byte> value) { return merger.take(key, value); });
    TRY(read_items_again(reading, filter, learned));
    TRY(merger.finish());
    learned.root = TRY(builder.finish());
    learned.nodes = builder.nodes();
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) learned.items[kind] = builder.items_of(kind);
    return {};
  }

  [[nodiscard]] format::Superblock next_superblock(const Learned& learned) const {
    format::Superblock next = superblock_;
    next.root = format::store(learned.root);
    next.generation = generation_.value();
    next.node_count = learned.nodes;
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) next.item_count[kind] = learned.items[kind];
    next.next_inode = learned.plan.next_inode;
    // What is in the log is in the tree now; chunks of the old epoch mean nothing any more.
    next.log_epoch = format::next_log_epoch(superblock_.log_epoch);
    next.log_start_chain = 0;
    next.flags = format::kCleanlyUnmounted;
    if (learned.plan.put_off() != 0) next.flags = next.flags | format::kHasErrors;
    next.written_time = static_cast<std::uint64_t>(std::time(nullptr));
    return next;
  }

  const format::Superblock superblock_;
  const bool has_new_seed_;
  const Generation generation_;
  CheckContext context_;
};

}  // namespace

Result<Rebuilt> write_next_generation(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
                                      const format::Superblock& superblock, bool has_new_seed) {
  return Rebuild(device, io, options, superblock, has_new_seed).run();
}

}  // namespace ashlar::fsck
