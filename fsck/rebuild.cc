#include "fsck/rebuild.h"

#include <ctime>

#include "fsck/context.h"
#include "fsck/generation_writer.h"
#include "fsck/item_filter.h"
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
constexpr ProgressSpan kWriting{Pass::repair, 0.6, 0.9};
constexpr ProgressSpan kFinishing{Pass::repair, 0.9, 1.0};

CheckOptions quiet(const CheckOptions& options) {
  CheckOptions chosen;
  chosen.progress = options.progress;
  return chosen;
}

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
        context_(device, io, quiet(options), superblock) {}

  [[nodiscard]] Result<GivenUp> run() {
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
    if (!context_.lost.empty()) {
      context_.begin_progress(kSalvaging);
      TRY(salvage_lost_items(context_, stored, learned.kept, looks_whole));
      // The walk claims blocks, so it takes a context of its own to walk again.
      context_.begin_progress(kLearningAgain);
      CheckContext again = context_.to_read_again();
      learned = TRY(learn(again));
    }
    plan_names(learned.plan, superblock_);
    if (!tree_can_stay(learned)) TRY(write_tree(learned));
    context_.begin_progress(kFinishing);
    TRY(write_generation(context_, stored, learned.kept, next_superblock(learned)));
    return std::move(learned.plan.given_up);
  }

 private:
  struct Learned {
    RepairPlan plan;
    BlockMap kept;  // in the end all that is in use
    format::NodePointer root;
    std::uint64_t nodes = 0;
    std::array<std::uint64_t, format::kItemKindLimit> items{};
  };

  [[nodiscard]] Result<Learned> learn(CheckContext& context) {
    Learned learned{{}, BlockMap(context.layout), format::load(superblock_.root)};
    learned.plan.next_inode = context.next_inode;
    ItemFilter filter(context, learned.plan);
    TRY(read_items(context, filter, learned));
    if (has_new_seed_) learned.plan.next_inode += kInodeNumbersSkipped;
    learned.kept = std::move(filter.kept_blocks());
    return learned;
  }

  [[nodiscard]] Status read_items(CheckContext& context, ItemFilter& filter, Learned& learned) {
    Rehash rehash(superblock_.hash_seed,
                  [&filter](const Key& key, std::span<const std::byte> value) { return filter.take(key, value); });
    TreeWalk walk(context, [&](const Key& key, std::span<const std::byte> value) {
      return has_new_seed_ ? rehash.take(key, value) : filter.take(key, value);
    });
    TRY(walk.run());
    TRY(rehash.finish());
    learned.nodes = walk.nodes();
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) learned.items[kind] = walk.items_of(kind);
    return filter.finish();
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

  [[nodiscard]] Status write_tree(Learned& learned) {
    context_.begin_progress(kWriting);
    TreeBuilder builder(context_, generation_, learned.kept, context_.owned);
    AdditionMerger merger(learned.plan, context_.layout, builder);
    CheckContext reading = context_.to_read_again();
    ItemFilter filter(reading, learned.plan,
                      [&merger](const Key& key, std::span<const std::byte> value) { return merger.take(key, value); });
    TRY(read_items(reading, filter, learned));
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
    next.log_epoch = superblock_.log_epoch + 1 == 0 ? 1 : superblock_.log_epoch + 1;
    next.log_start_chain = 0;
    next.flags = format::kCleanlyUnmounted;
    next.written_time = static_cast<std::uint64_t>(std::time(nullptr));
    return next;
  }

  const format::Superblock superblock_;
  const bool has_new_seed_;
  const Generation generation_;
  CheckContext context_;
};

}  // namespace

Result<GivenUp> write_next_generation(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
                                      const format::Superblock& superblock, bool has_new_seed) {
  return Rebuild(device, io, options, superblock, has_new_seed).run();
}

}  // namespace ashlar::fsck
