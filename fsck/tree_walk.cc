#include "fsck/tree_walk.h"

#include <algorithm>
#include <utility>

namespace ashlar::fsck {

// Merges the items of the tree, the log and the salvage, in key order, and hands them on. The log's version of an item
// counts before the tree's, and that before a salvaged one.
class ItemStream {
 public:
  ItemStream(const CheckContext& context, const ItemVisitor& visit)
      : visit_(visit),
        log_(context.overlay.begin()),
        log_end_(context.overlay.end()),
        salvage_(context.salvaged.begin()),
        salvage_end_(context.salvaged.end()) {}

  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value) {
    while (next_aside() != nullptr && *next_aside() < key) TRY(take_aside());
    if (salvage_ != salvage_end_ && salvage_->first == key) ++salvage_;
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
    if (log_ == log_end_) return salvage_ == salvage_end_ ? nullptr : &salvage_->first;
    return salvage_ == salvage_end_ || log_->first <= salvage_->first ? &log_->first : &salvage_->first;
  }
  [[nodiscard]] Status take_aside() {
    const format::Key key = *next_aside();
    const bool from_log = log_ != log_end_ && log_->first == key;
    const auto salvaged = salvage_;
    if (salvage_ != salvage_end_ && salvage_->first == key) ++salvage_;
    if (!from_log) return visit_(key, salvaged->second);
    const auto& value = (log_++)->second;
    return value ? visit_(key, *value) : Status{};
  }

  const ItemVisitor visit_;
  std::map<format::Key, std::optional<std::vector<std::byte>>>::const_iterator log_;
  const decltype(log_) log_end_;
  std::map<format::Key, std::vector<std::byte>>::const_iterator salvage_;
  const decltype(salvage_) salvage_end_;
};

TreeWalk::TreeWalk(CheckContext& context, const ItemVisitor& visit)
    : context_(context),
      items_(std::make_unique<ItemStream>(context, visit)),
      reader_(context),
      most_nodes_(context.layout.block_count() / (context.layout.node_blocks() * format::kCopies)) {}

TreeWalk::~TreeWalk() = default;

Status TreeWalk::run() {
  if (!reader_.has_memory()) return fail(ErrorCode::out_of_memory);
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
  reader_.begin(parents);
  for (std::span<const ExpectedNode> batch = reader_.next(); !batch.empty(); batch = reader_.next()) {
    for (std::size_t i = 0; i < batch.size(); ++i) TRY(check_node(batch[i], i));
    if (context_.report.is_fatal()) return {};
    TRY(context_.tell_progress(kAfterLog + (kAfterTree - kAfterLog) * part_done()));
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
    context_.lost.emplace_back();  // all that was not walked yet
    return {};
  }
  Outcomes outcomes;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    outcomes[copy] = reader_.outcome(index, copy);
    if (!outcomes[copy]) continue;
    // The level is a finding of its own.
    format::NodePointer any_level = expected.pointer;
    any_level.level = format::header_of(reader_.image(index, copy)).level;
    outcomes[copy] = format::validate_node(reader_.image(index, copy), context_.superblock.uuid, &any_level);
  }
  if (!outcomes[0] && !outcomes[1]) {
    context_.report.add(FindingId::node_lost, address, outcomes[0].error().message());
    claim_blocks(expected.pointer);
    context_.lost.push_back(expected.range);
    return {};
  }
  const std::size_t good = outcomes[0] ? 0 : 1;
  const std::size_t bad = 1 - good;
  const bool is_its_own = claim_blocks(expected.pointer);
  if (!outcomes[bad]) {
    context_.report.add(FindingId::node_copy_bad, address, bad, outcomes[bad].error().message());
    // Not over what is a fixed part or another node's.
    if (is_its_own)
      context_.heal(context_.layout.byte_offset(expected.pointer.address[bad]), reader_.image(index, good));
  }
  if (!is_its_own) {  // walked already, or not the tree's: not again
    context_.lost.push_back(expected.range);
    return {};
  }
  return take_node(expected, reader_.image(index, good));
}

bool TreeWalk::claim_blocks(const format::NodePointer& pointer) {
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

Status TreeWalk::take_node(const ExpectedNode& expected, std::span<const std::byte> node) {
  const format::NodeHeader& header = format::header_of(node);
  const std::uint64_t address = expected.pointer.address[0].value();
  const bool is_root = expected.pointer == format::load(context_.superblock.root);
  if (header.level != expected.pointer.level) {
    context_.report.add(FindingId::node_level_wrong, address, header.level, expected.pointer.level);
    context_.lost.push_back(expected.range);
    return {};
  }
  if (header.level != 0) return take_internal(expected, node), Status{};
  if (header.count == 0 && !is_root) {
    context_.report.add(FindingId::node_empty, address);
    context_.lost.push_back(expected.range);
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
      context_.lost.push_back(expected.range);
      return;
    }
    child.range.limit = expected.range.limit;
    if (i + 1 < entries.size() && expected.range.holds(format::key_of(entries[i + 1])))
      child.range.limit = format::key_of(entries[i + 1]);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      child.pointer.address[copy] = BlockNumber{entries[i].address[copy]};
    child.pointer.generation = Generation{entries[i].generation};
    child.pointer.crc = entries[i].crc;
    child.pointer.level = static_cast<std::uint8_t>(expected.pointer.level - 1);
    children_.push_back(child);
  }
}

}  // namespace ashlar::fsck
