#include "tests/store/tree/memory_nodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace ashlar::store {

Status MemoryNodes::read(blockio::IoQueue&, const format::NodePointer& pointer, std::span<std::byte> image) {
  if (before_read) {
    if (auto status = before_read(); !status) return status;
  }
  const std::lock_guard guard(mutex_);
  ++reads_;
  const Address address = pointer.address[0].value();
  if (!in_use_.contains(address)) {
    if (freed_reads_are_misuse) complain(fmt::format("read of free node {}", address));
    return fail(ErrorCode::bad_checksum, "nothing lies there");
  }
  const auto stored = images_.find(address);
  if (stored == images_.end()) return fail(ErrorCode::bad_checksum, "nothing was written there yet");
  std::copy(stored->second.begin(), stored->second.end(), image.begin());
  if (!validates) return {};
  auto status = format::validate_node(image, kTestUuid, &pointer);
  if (!status && freed_reads_are_misuse) complain(fmt::format("node {}: {}", address, status.error().message()));
  return status;
}

void MemoryNodes::read_ahead(blockio::IoQueue& io, std::span<NodeRead> reads) {
  ++batches;
  for (NodeRead& node : reads) node.good = read(io, node.pointer, node.image).has_value();
}

Result<format::NodePointer> MemoryNodes::place(std::uint8_t level) {
  if (before_place) before_place();
  const std::lock_guard guard(mutex_);
  Address address = next_;
  if (free_.empty()) {
    next_ += 2;
  } else {
    address = free_.back();
    free_.pop_back();
  }
  in_use_.insert({address, address + 1});
  format::NodePointer pointer;
  pointer.level = level;
  pointer.address[0] = BlockNumber{address};
  pointer.address[1] = BlockNumber{address + 1};
  return pointer;
}

Status MemoryNodes::write(const format::NodePointer& pointer, std::span<const std::byte> image) {
  const std::lock_guard guard(mutex_);
  ++writes_;
  if (auto status = format::validate_node(image, kTestUuid, &pointer); !status) complain(status.error().message());
  if (pointer.level > 0) check_children(image);
  images_[pointer.address[0].value()].assign(image.begin(), image.end());
  return {};
}

// Children are written first, and a parent knows them exactly.
void MemoryNodes::check_children(std::span<const std::byte> image) {
  for (const format::InternalEntry& entry : format::internal_entries(image)) {
    const auto child = images_.find(entry.address[0].value());
    if (child == images_.end() || !in_use_.contains(child->first)) {
      complain(fmt::format("entry names node {}, which is not there", entry.address[0].value()));
      continue;
    }
    const format::NodeHeader& header = format::header_of(child->second);
    if (header.crc != entry.crc || header.generation != entry.generation ||
        header.address[1] != entry.address[1].value()) {
      complain(fmt::format("entry does not describe node {}", child->first));
    }
  }
}

void MemoryNodes::release(const std::vector<format::NodePointer>& freed) {
  const std::lock_guard guard(mutex_);
  for (const format::NodePointer& pointer : freed) {
    const Address address = pointer.address[0].value();
    if (in_use_.erase(address) + in_use_.erase(pointer.address[1].value()) != 2) {
      complain(fmt::format("node {} freed twice", address));
      continue;
    }
    const auto image = images_.find(address);
    if (image == images_.end() || format::header_of(image->second).generation != pointer.generation.value()) {
      complain(fmt::format("freed node {} was never written", address));
    }
    images_.erase(address);
    free_.push_back(address);
  }
}

format::NodePointer MemoryNodes::plant(std::vector<std::byte> image) {
  auto placed = place(format::header_of(image).level);
  format::NodePointer pointer = *placed;
  auto& header = *reinterpret_cast<format::NodeHeader*>(image.data());
  header.magic = format::kNodeMagic;
  std::memcpy(header.uuid, kTestUuid, sizeof header.uuid);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) header.address[copy] = pointer.address[copy].value();
  if (header.generation == 0) header.generation = 1;
  format::seal_node(image);
  pointer.generation = Generation{header.generation};
  pointer.crc = header.crc;
  const std::lock_guard guard(mutex_);
  images_[pointer.address[0].value()] = std::move(image);
  return pointer;
}

MemoryNodes::Census MemoryNodes::walk(const format::NodePointer& root) {
  const std::lock_guard guard(mutex_);
  Census census;
  walk_node(root, format::kLowestKey, nullptr, true, census);
  return census;
}

void MemoryNodes::walk_node(const format::NodePointer& pointer, const format::Key& lowest, const format::Key* limit,
                            bool is_root, Census& census) {
  const Address address = pointer.address[0].value();
  const auto found = images_.find(address);
  if (found == images_.end()) return complain(fmt::format("node {} is not there", address));
  const std::span<const std::byte> image = found->second;
  if (auto status = format::validate_node(image, kTestUuid, &pointer); !status) complain(status.error().message());
  ++census.totals.nodes;
  const format::NodeHeader& header = format::header_of(image);
  if (header.count == 0 && !is_root) complain(fmt::format("node {} is empty", address));

  const auto check_key = [&](const format::Key& key) {
    if (key < lowest || (limit != nullptr && key >= *limit)) complain(fmt::format("key out of range in {}", address));
  };
  if (header.level == 0) {
    for (const format::LeafItem& item : format::leaf_items(image)) {
      check_key(key_of(item));
      ++census.totals.items[item.kind];
      const auto value = format::value_of(image, item);
      census.items[key_of(item)].assign(value.begin(), value.end());
    }
    return;
  }
  const auto entries = format::internal_entries(image);
  if (is_root && entries.size() < 2) complain("root with one child");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    check_key(key_of(entries[i]));
    format::NodePointer child;
    child.level = static_cast<std::uint8_t>(header.level - 1);
    for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
      child.address[copy] = BlockNumber{entries[i].address[copy]};
    }
    child.generation = Generation{entries[i].generation};
    child.crc = entries[i].crc;
    const format::Key next = i + 1 < entries.size() ? key_of(entries[i + 1]) : format::kHighestKey;
    walk_node(child, key_of(entries[i]), i + 1 < entries.size() ? &next : limit, false, census);
  }
}

std::size_t MemoryNodes::live_nodes() const {
  const std::lock_guard guard(mutex_);
  return in_use_.size() / format::kCopies;
}

std::size_t MemoryNodes::reads() const {
  const std::lock_guard guard(mutex_);
  return reads_;
}

std::size_t MemoryNodes::writes() const {
  const std::lock_guard guard(mutex_);
  return writes_;
}

std::vector<std::string> MemoryNodes::complaints() const {
  const std::lock_guard guard(mutex_);
  return complaints_;
}

}  // namespace ashlar::store
