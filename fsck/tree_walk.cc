#include "fsck/tree_walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "blockio/aligned_buffer.h"

namespace ashlar::fsck {
namespace {

std::string inodes_of(const KeyRange& range) {
  const std::uint64_t first = range.lowest.inode.value();
  if (!range.limit) return fmt::format("inodes {} and above", first);
  // The limit itself is the next node's; below an inode's own item there is nothing of it.
  const bool reaches = range.limit->kind > format::ItemKind::inode || range.limit->offset != 0;
  const std::uint64_t end = range.limit->inode.value();
  const std::uint64_t last = reaches || end == 0 ? end : std::max(first, end - 1);
  return first == last ? fmt::format("inode {}", first) : fmt::format("inodes {} to {}", first, last);
}

}  // namespace

// Merges the items of the tree, the log and the salvage, in key order, and hands them on. The log's version of an item
// counts before the tree's, and that before a salvaged one.
class ItemStream {
 public:
  ItemStream(const CheckContext& context, const ItemVisitor& visit)
      : visit_(visit),
        log_(context.overlay->begin()),
        log_end_(context.overlay->end()),
        salvage_(context.io, context.superblock, context.salvaged) {}

  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value) {
    while (next_aside() != nullptr && *next_aside() < key) TRY(take_aside());
    if (salvage_.next() != nullptr && *salvage_.next() == key) TRY(salvage_.skip());
    // Replaced or erased: the log's version is handed on with what lies below the next key.
    if (log_ != log_end_ && log_->first == key) return {};
    return visit_(key, value);
  }
  [[nodiscard]] Status finish() {
    while (next_aside() != nullptr) TRY(take_aside());
    return {};
  }

 private:
  // The next key that is not from the tree.
  [[nodiscard]] const format::Key* next_aside() const {
    const format::Key* const salvaged = salvage_.next();
    if (log_ == log_end_) return salvaged;
    return salvaged == nullptr || log_->first <= *salvaged ? &log_->first : salvaged;
  }
  [[nodiscard]] Status take_aside() {
    const format::Key key = *next_aside();
    const bool from_log = log_ != log_end_ && log_->first == key;
    if (!from_log) {
      const std::span<const std::byte> value = TRY(salvage_.value());
      TRY(visit_(key, value));
    }
    if (salvage_.next() != nullptr && *salvage_.next() == key) TRY(salvage_.skip());
    if (!from_log) return {};
    const auto& value = (log_++)->second;
    return value ? visit_(key, *value) : Status{};
  }

  const ItemVisitor visit_;
  Overlay::const_iterator log_;
  const decltype(log_) log_end_;
  SalvageCursor salvage_;
};

TreeWalk::TreeWalk(CheckContext& context, const ItemVisitor& visit)
    : context_(context),
      items_(std::make_unique<ItemStream>(context, visit)),
      reader_(context),
      most_nodes_(context.layout.block_count() / (context.layout.node_blocks() * format::kCopies)) {}

TreeWalk::~TreeWalk() = default;

Status TreeWalk::run() {
  const ExpectedNode root{format::load(context_.superblock.root), KeyRange{}};
  TRY(walk(std::span(&root, 1)));
  return items_->finish();
}

// Depth first, so that no more than some nodes' children on each level are ever remembered; of the level above the
// leaves so many nodes at once that reading ahead does not stop at the end of each. Levels fall, which ends it.
Status TreeWalk::walk(std::span<const ExpectedNode> nodes) {
  if (nodes.front().pointer.level == 0) return walk_below(nodes);
  while (!nodes.empty() && !context_.report.is_fatal()) {
    const std::size_t count = std::min(nodes.size(), NodeReader::kBatchNodes);
    TRY(walk_below(nodes.first(count)));
    nodes = nodes.subspan(count);
  }
  return {};
}

Status TreeWalk::walk_below(std::span<const ExpectedNode> parents) {
  TRY(reader_.begin(parents));
  for (std::span<const ExpectedNode> batch = reader_.next(); !batch.empty(); batch = reader_.next()) {
    for (std::size_t i = 0; i < batch.size(); ++i) TRY(check_node(batch[i], i));
    if (context_.report.is_fatal()) return {};
    TRY(context_.tell_progress(part_done()));
  }
  if (children_.empty()) return {};
  const std::vector<ExpectedNode> children = std::exchange(children_, {});
  return walk(children);
}

double TreeWalk::part_done() const {
  return std::min(1.0, static_cast<double>(nodes_) / static_cast<double>(context_.superblock.node_count.value()));
}

Status TreeWalk::check_node(const ExpectedNode& expected, std::size_t index) {
  const std::uint64_t address = expected.pointer.address[0].value();
  if (++nodes_ > most_nodes_) {
    context_.report.add(FindingId::tree_too_large);
    context_.lost.add(KeyRange{});  // all that was not walked yet
    return {};
  }
  const Outcomes outcomes = validate_copies(expected, index);
  const bool is_lost = !outcomes[0] && !outcomes[1];
  if (is_lost) {
    context_.report.add(FindingId::node_lost, address, inodes_of(expected.range), outcomes[0].error().message());
  }
  const bool is_its_own = claim_blocks(expected.pointer);
  const std::size_t good = outcomes[0] ? 0 : 1;
  const std::size_t bad = 1 - good;
  if (!is_lost && !outcomes[bad]) {
    context_.report.add(FindingId::node_copy_bad, address, bad, outcomes[bad].error().message());
    // Not over what is a fixed part or another node's.
    if (is_its_own && context_.options.heal && bad_copies_.size() < kMostBadCopies)
      bad_copies_.push_back({expected.pointer, bad, context_.report.last()});
  }
  // What was walked already, or is not the tree's, is not walked again.
  if (is_lost || !is_its_own) {
    context_.lost.add(expected.range);
    return {};
  }
  return take_node(expected, reader_.image(index, good));
}

TreeWalk::Outcomes TreeWalk::validate_copies(const ExpectedNode& expected, std::size_t index) {
  Outcomes outcomes;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    outcomes[copy] = reader_.outcome(index, copy);
    if (!outcomes[copy]) continue;
    const std::span<const std::byte> node = reader_.image(index, copy);
    // What is equal to a valid copy is valid.
    if (copy != 0 && outcomes[0] && std::memcmp(node.data(), reader_.image(index, 0).data(), node.size()) == 0)
      continue;
    // The level is a finding of its own.
    format::NodePointer any_level = expected.pointer;
    any_level.level = format::header_of(node).level;
    outcomes[copy] = format::validate_node(node, context_.superblock.uuid, &any_level);
  }
  return outcomes;
}

Status TreeWalk::heal_copies() {
  const Report& report = context_.report;
  const bool is_contested = report.has(FindingId::node_shared) || report.has(FindingId::block_owned_twice) ||
                            report.has(FindingId::block_reserved) || report.is_fatal();
  if (bad_copies_.empty() || is_contested) return {};
  blockio::AlignedBuffer node(context_.layout.node_size());
  if (node.empty()) return fail(ErrorCode::out_of_memory);
  for (const BadCopy& bad : bad_copies_) {
    const BlockNumber good = bad.pointer.address[1 - bad.copy];
    blockio::IoOp read = blockio::IoOp::read(context_.layout.byte_offset(good), node.span());
    if (!context_.io.run(read) || !format::validate_node(node.span(), context_.superblock.uuid, &bad.pointer)) continue;
    context_.heal(bad.finding, context_.layout.byte_offset(bad.pointer.address[bad.copy]), node.span());
  }
  return {};
}

bool TreeWalk::claim_blocks(const format::NodePointer& pointer) {
  bool free = true;
  for (const BlockNumber address : pointer.address) {
    if (address.value() > context_.layout.block_count() - context_.layout.node_blocks()) return false;
    const BlockRun run{address, context_.layout.node_blocks()};
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

Status TreeWalk::take_node(const ExpectedNode& expected, std::span<const std::byte> node) {
  const format::NodeHeader& header = format::header_of(node);
  const std::uint64_t address = expected.pointer.address[0].value();
  const bool is_root = expected.pointer == format::load(context_.superblock.root);
  if (header.level != expected.pointer.level) {
    context_.report.add(FindingId::node_level_wrong, address, header.level, expected.pointer.level);
    context_.lost.add(expected.range);
    return {};
  }
  if (header.level != 0) return take_internal(expected, node), Status{};
  if (header.count == 0 && !is_root) {
    context_.report.add(FindingId::node_empty, address);
    context_.lost.add(expected.range);
  }
  return take_leaf(expected, node);
}

Status TreeWalk::take_leaf(const ExpectedNode& expected, std::span<const std::byte> node) {
  bool in_order = true;
  for (const format::LeafItem& item : format::leaf_items(node)) {
    const format::Key key = format::key_of(item);
    if (!expected.range.holds(key)) {
      if (in_order) context_.report.add(FindingId::node_out_of_order, expected.pointer.address[0].value());
      in_order = false;
      continue;
    }
    ++item_counts_[std::min<std::size_t>(item.kind, format::kItemKindLimit - 1)];
    TRY(items_->take(key, format::value_of(node, item)));
  }
  return {};
}

void TreeWalk::take_internal(const ExpectedNode& expected, std::span<const std::byte> node) {
  const std::span<const format::InternalEntry> entries = format::internal_entries(node);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ExpectedNode child;
    // The first entry's key is only a lower bound.
    child.range.lowest = i == 0 ? expected.range.lowest : format::key_of(entries[i]);
    if (!expected.range.holds(child.range.lowest)) {
      context_.report.add(FindingId::node_out_of_order, expected.pointer.address[0].value());
      context_.lost.add(expected.range);
      return;
    }
    child.range.limit = expected.range.limit;
    if (i + 1 < entries.size() && expected.range.holds(format::key_of(entries[i + 1])))
      child.range.limit = format::key_of(entries[i + 1]);
    if (wanted_ && !wanted_(child.range)) continue;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      child.pointer.address[copy] = BlockNumber{entries[i].address[copy]};
    child.pointer.generation = Generation{entries[i].generation};
    child.pointer.crc = entries[i].crc;
    child.pointer.level = static_cast<std::uint8_t>(expected.pointer.level - 1);
    children_.push_back(child);
  }
}

}  // namespace ashlar::fsck
