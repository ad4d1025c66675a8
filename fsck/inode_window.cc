// The inodes and names that are remembered at one time, so that memory stays within bounds whatever the volume holds.
#include <sys/stat.h>

#include <algorithm>

#include "fsck/context.h"

namespace ashlar::fsck {

InodeRecord record_of(InodeNumber number, const format::InodeItem& item) noexcept {
  InodeRecord record;
  record.number = number.value();
  record.parent = item.parent;
  record.entries = item.entries;
  record.mode = item.mode;
  record.links = item.links;
  return record;
}

void CheckContext::reserve_records() {
  const std::uint64_t most_bytes = layout.block_count() * layout.block_size() / format::kCopies;
  const auto expected = [&](format::ItemKind kind, std::size_t bytes) -> std::size_t {
    const std::uint64_t told = superblock.item_count[static_cast<std::size_t>(kind)];
    return std::min<std::uint64_t>({told, most_bytes / (sizeof(format::LeafItem) + bytes), options.most_records});
  };
  inodes.reserve(expected(format::ItemKind::inode, sizeof(format::InodeItem)));
  names.reserve(expected(format::ItemKind::dirent, sizeof(format::DirentEntry)));
}

void CheckContext::remember(const InodeRecord& inode) {
  if (!S_ISDIR(inode.mode) && !window.holds(inode.number)) return;
  inodes.push_back(inode);
  shrink_window();
}

void CheckContext::remember(const NameRecord& name) {
  if (!window.holds(name.target)) return;
  names.push_back(name);
  shrink_window();
}

// To the lower half of what is remembered. All names of one inode stay together, however many there are.
void CheckContext::shrink_window() {
  if (names.size() + inodes.size() - directories_kept_ <= most_now_) return;
  std::vector<std::uint64_t> numbers;
  for (const InodeRecord& inode : inodes) {
    if (!S_ISDIR(inode.mode)) numbers.push_back(inode.number);
  }
  for (const NameRecord& name : names) numbers.push_back(name.target);
  directories_kept_ = names.size() + inodes.size() - numbers.size();
  if (numbers.size() <= most_now_) return;
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  window.last = std::min(window.last, *middle);
  std::erase_if(inodes,
                [this](const InodeRecord& inode) { return !S_ISDIR(inode.mode) && !window.holds(inode.number); });
  std::erase_if(names, [this](const NameRecord& name) { return !window.holds(name.target); });
  // One inode with more names than that.
  const std::size_t left = names.size() + inodes.size() - directories_kept_;
  most_now_ = std::max(options.most_records, 2 * left);
}

void CheckContext::merge_inodes(std::size_t first) {
  const auto middle = inodes.begin() + static_cast<std::ptrdiff_t>(first);
  std::inplace_merge(inodes.begin(), middle, inodes.end(),
                     [](const InodeRecord& a, const InodeRecord& b) { return a.number < b.number; });
}

void CheckContext::forget_records() {
  inodes = {};
  names = {};
}

bool CheckContext::next_window() {
  if (window.last == ~0ULL) return false;
  window = {window.last + 1, ~0ULL};
  names.clear();
  std::erase_if(inodes, [](const InodeRecord& inode) { return !S_ISDIR(inode.mode); });
  directories_kept_ = inodes.size();
  most_now_ = options.most_records;
  return true;
}

}  // namespace ashlar::fsck
