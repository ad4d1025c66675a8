// The tree: every node in both copies, level by level from the root, and every item, as the log leaves them.
#include <algorithm>
#include <array>
#include <cstring>

#include "blockio/aligned_buffer.h"
#include "fsck/item_checker.h"

namespace ashlar::fsck {
namespace {

constexpr std::size_t kNodesInFlight = 32;

// A node to be read, and the keys that its parent gives it: lowest <= key < limit.
struct Expected {
  format::NodePointer pointer;
  format::Key lowest = format::kLowestKey;
  std::optional<format::Key> limit;
};

// Merges the tree's items with the log's, in key order, and hands them on.
class ItemStream {
 public:
  explicit ItemStream(CheckContext& context)
      : checker_(context), next_(context.overlay.begin()), end_(context.overlay.end()) {}

  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value) {
    TRY(take_overlay_below(key));
    if (next_ == end_ || next_->first != key) return checker_.take(key, value);
    return {};  // replaced or erased: the log's version is handed on with what lies below the next key
  }
  [[nodiscard]] Status finish() {
    while (next_ != end_) TRY(take_next());
    checker_.finish();
    return {};
  }

 private:
  [[nodiscard]] Status take_overlay_below(const format::Key& key) {
    while (next_ != end_ && next_->first < key) TRY(take_next());
    return {};
  }
  [[nodiscard]] Status take_next() {
    const auto& [key, value] = *next_++;
    return value ? checker_.take(key, *value) : Status{};
  }

  using Overlay = std::map<format::Key, std::optional<std::vector<std::byte>>>;
  ItemChecker checker_;
  Overlay::const_iterator next_;
  const Overlay::const_iterator end_;
};

class TreeWalk {
 public:
  explicit TreeWalk(CheckContext& context)
      : context_(context),
        items_(context),
        node_size_(context.layout.node_size()),
        buffer_(kNodesInFlight * format::kCopies * node_size_),
        most_nodes_(context.layout.block_count() / (context.layout.node_blocks() * format::kCopies)) {}

  [[nodiscard]] Status run() {
    if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
    std::vector<Expected> level = {Expected{format::load(context_.superblock.root), format::kLowestKey, std::nullopt}};
    while (!level.empty()) {
      next_level_.clear();
      for (std::size_t done = 0; done < level.size(); done += kNodesInFlight) {
        TRY(check_batch(std::span(level).subspan(done, std::min(kNodesInFlight, level.size() - done))));
        if (context_.report.is_fatal()) return {};
        TRY(context_.tell_progress(kAfterLog + (kAfterTree - kAfterLog) * part_done()));
      }
      level = std::move(next_level_);
    }
    TRY(items_.finish());
    check_totals();
    return {};
  }

 private:
  [[nodiscard]] double part_done() const {
    return std::min(1.0, static_cast<double>(nodes_) / static_cast<double>(context_.superblock.node_count.value()));
  }
  // Where the copy of a node in the batch is read to.
  [[nodiscard]] std::span<std::byte> image(std::size_t index, std::size_t copy) {
    return buffer_.span().subspan((index * format::kCopies + copy) * node_size_, node_size_);
  }
  [[nodiscard]] bool in_bounds(const format::NodePointer& pointer) const {
    return std::all_of(std::begin(pointer.address), std::end(pointer.address), [this](BlockNumber address) {
      return address.value() <= context_.layout.block_count() - context_.layout.node_blocks();
    });
  }

  [[nodiscard]] Status check_batch(std::span<const Expected> batch) {
    std::array<blockio::IoOp, kNodesInFlight * format::kCopies> reads;
    std::vector<blockio::IoOp*> pointers;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        if (!in_bounds(batch[i].pointer)) continue;
        blockio::IoOp& read = reads[i * format::kCopies + copy];
        read = blockio::IoOp::read(context_.layout.byte_offset(batch[i].pointer.address[copy]), image(i, copy));
        pointers.push_back(&read);
      }
    }
    // Each copy's own outcome counts.
    static_cast<void>(context_.io.run(pointers).has_value());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::array<Status, format::kCopies> outcomes;
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        const blockio::IoOp& read = reads[i * format::kCopies + copy];
        if (!in_bounds(batch[i].pointer)) {
          outcomes[copy] = fail(ErrorCode::corrupt_structure);
        } else if (!read.ok()) {
          outcomes[copy] = fail(read.error());
        } else {
          // The level is a finding of its own.
          format::NodePointer expected = batch[i].pointer;
          expected.level = format::header_of(image(i, copy)).level;
          outcomes[copy] = format::validate_node(image(i, copy), context_.superblock.uuid, &expected);
        }
      }
      TRY(check_node(batch[i], i, outcomes));
    }
    return {};
  }

  [[nodiscard]] Status check_node(const Expected& expected, std::size_t index,
                                  const std::array<Status, format::kCopies>& outcomes) {
    const std::uint64_t address = expected.pointer.address[0].value();
    if (++nodes_ > most_nodes_) {
      context_.report.add(FindingId::tree_too_large);
      return {};
    }
    if (!outcomes[0] && !outcomes[1]) {
      context_.report.add(FindingId::node_lost, address, outcomes[0].error().message());
      claim_blocks(expected.pointer);
      return {};
    }
    const std::size_t good = outcomes[0] ? 0 : 1;
    const std::size_t bad = 1 - good;
    if (!outcomes[bad]) {
      context_.report.add(FindingId::node_copy_bad, address, bad, outcomes[bad].error().message());
      context_.heal(context_.layout.byte_offset(expected.pointer.address[bad]), image(index, good));
    }
    if (!claim_blocks(expected.pointer)) return {};  // walked already, or not the tree's: not again
    return take_node(expected, image(index, good));
  }

  bool claim_blocks(const format::NodePointer& pointer) {
    bool free = true;
    for (const BlockNumber address : pointer.address) {
      const BlockRun run{address, context_.layout.node_blocks()};
      if (run.end().value() > context_.layout.block_count()) return false;
      if (context_.layout.touches_fixed(run)) {
        context_.report.add(FindingId::block_reserved, address.value(), "a tree node");
        free = false;
      } else if (context_.owned.claim(run)) {
        context_.report.add(FindingId::node_shared, address.value());
        free = false;
      }
    }
    return free;
  }

  [[nodiscard]] Status take_node(const Expected& expected, std::span<const std::byte> node) {
    const format::NodeHeader& header = format::header_of(node);
    const std::uint64_t address = expected.pointer.address[0].value();
    const bool is_root = expected.pointer == format::load(context_.superblock.root);
    if (header.level != expected.pointer.level) {
      context_.report.add(FindingId::node_level_wrong, address, header.level, expected.pointer.level);
      return {};
    }
    if (header.count == 0 && !(is_root && header.level == 0)) context_.report.add(FindingId::node_empty, address);
    return header.level == 0 ? take_leaf(expected, node) : take_internal(expected, node);
  }

  [[nodiscard]] bool in_range(const Expected& expected, const format::Key& key) const {
    return key >= expected.lowest && (!expected.limit || key < *expected.limit);
  }

  [[nodiscard]] Status take_leaf(const Expected& expected, std::span<const std::byte> node) {
    for (const format::LeafItem& item : format::leaf_items(node)) {
      const format::Key key = format::key_of(item);
      if (!in_range(expected, key)) {
        context_.report.add(FindingId::node_out_of_order, expected.pointer.address[0].value());
        return {};
      }
      ++item_counts_[std::min<std::size_t>(item.kind, format::kItemKindLimit - 1)];
      TRY(items_.take(key, format::value_of(node, item)));
    }
    return {};
  }

  [[nodiscard]] Status take_internal(const Expected& expected, std::span<const std::byte> node) {
    const std::span<const format::InternalEntry> entries = format::internal_entries(node);
    const auto child_level = static_cast<std::uint8_t>(expected.pointer.level - 1);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      Expected child;
      // The first entry's key is only a lower bound.
      child.lowest = i == 0 ? expected.lowest : format::key_of(entries[i]);
      child.limit = i + 1 < entries.size() ? std::optional(format::key_of(entries[i + 1])) : expected.limit;
      if (i != 0 && !in_range(expected, child.lowest)) {
        context_.report.add(FindingId::node_out_of_order, expected.pointer.address[0].value());
        return {};
      }
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        child.pointer.address[copy] = BlockNumber{entries[i].address[copy]};
      child.pointer.generation = Generation{entries[i].generation};
      child.pointer.crc = entries[i].crc;
      child.pointer.level = child_level;
      next_level_.push_back(child);
    }
    return {};
  }

  void check_totals() {
    const format::Superblock& superblock = context_.superblock;
    context_.report.nodes = nodes_;
    if (superblock.node_count != nodes_)
      context_.report.add(FindingId::node_count_wrong, superblock.node_count.value(), nodes_);
    for (std::size_t kind = 0; kind < format::kItemKindLimit; ++kind) {
      if (superblock.item_count[kind] == item_counts_[kind]) continue;
      context_.report.add(FindingId::item_count_wrong, superblock.item_count[kind].value(), kind, item_counts_[kind]);
    }
  }

  CheckContext& context_;
  ItemStream items_;
  const std::size_t node_size_;
  blockio::AlignedBuffer buffer_;
  const std::uint64_t most_nodes_;
  std::vector<Expected> next_level_;
  std::uint64_t nodes_ = 0;
  std::array<std::uint64_t, format::kItemKindLimit> item_counts_{};
};

}  // namespace

Status pass_tree(CheckContext& context) { return TreeWalk(context).run(); }

}  // namespace ashlar::fsck
