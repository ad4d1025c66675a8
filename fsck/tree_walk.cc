#include "fsck/tree_walk.h"

#include <algorithm>

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
      node_size_(context.layout.node_size()),
      buffer_(kNodesInFlight * format::kCopies * node_size_),
      most_nodes_(context.layout.block_count() / (context.layout.node_blocks() * format::kCopies)) {}

TreeWalk::~TreeWalk() = default;

Status TreeWalk::run() {
  if (buffer_.empty()) return fail(ErrorCode::out_of_memory);
  std::vector<Expected> level = {Expected{format::load(context_.superblock.root), KeyRange{}}};
  while (!level.empty()) {
    next_level_.clear();
    for (std::size_t done = 0; done < level.size(); done += kNodesInFlight) {
      TRY(check_batch(std::span(level).subspan(done, std::min(kNodesInFlight, level.size() - done))));
      if (context_.report.is_fatal()) return items_->finish();
      TRY(context_.tell_progress(kAfterLog + (kAfterTree - kAfterLog) * part_done()));
    }
    level = std::move(next_level_);
  }
  return items_->finish();
}

double TreeWalk::part_done() const {
  return std::min(1.0, static_cast<double>(nodes_) / static_cast<double>(context_.superblock.node_count.value()));
}

// Where the copy of a node in the batch is read to.
std::span<std::byte> TreeWalk::image(std::size_t index, std::size_t copy) {
  return buffer_.span().subspan((index * format::kCopies + copy) * node_size_, node_size_);
}

bool TreeWalk::in_bounds(const format::NodePointer& pointer) const {
  return std::all_of(std::begin(pointer.address), std::end(pointer.address), [this](BlockNumber address) {
    return address.value() <= context_.layout.block_count() - context_.layout.node_blocks();
  });
}

Status TreeWalk::check_batch(std::span<const Expected> batch) {
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
    Outcomes outcomes;
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

Status TreeWalk::check_node(const Expected& expected, std::size_t index, const Outcomes& outcomes) {
  const std::uint64_t address = expected.pointer.address[0].value();
  if (++nodes_ > most_nodes_) {
    context_.report.add(FindingId::tree_too_large);
    context_.lost.emplace_back();  // all that was not walked yet
    return {};
  }
  if (!outcomes[0] && !outcomes[1]) {
    context_.report.add(FindingId::node_lost, address, outcomes[0].error().message());
    claim_blocks(expected.pointer);
    context_.lost.push_back(expected.range);
    return {};
  }
  const std::size_t good = outcomes[0] ? 0 : 1;
  const std::size_t bad = 1 - good;
  if (!outcomes[bad]) {
    context_.report.add(FindingId::node_copy_bad, address, bad, outcomes[bad].error().message());
    context_.heal(context_.layout.byte_offset(expected.pointer.address[bad]), image(index, good));
  }
  if (!claim_blocks(expected.pointer)) {  // walked already, or not the tree's: not again
    context_.lost.push_back(expected.range);
    return {};
  }
  return take_node(expected, image(index, good));
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

Status TreeWalk::take_node(const Expected& expected, std::span<const std::byte> node) {
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

Status TreeWalk::take_leaf(const Expected& expected, std::span<const std::byte> node) {
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

void TreeWalk::take_internal(const Expected& expected, std::span<const std::byte> node) {
  const std::span<const format::InternalEntry> entries = format::internal_entries(node);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Expected child;
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
    next_level_.push_back(child);
  }
}

}  // namespace ashlar::fsck
