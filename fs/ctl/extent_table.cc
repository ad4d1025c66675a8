#include "fs/ctl/extent_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "fs/base/standard_streams.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

// Places in blocks; of inline data, in bytes.
constexpr int kLogicalWidth = 8;
constexpr int kPhysicalWidth = 10;

bool goes_on(const fuse::ExtentEntry& left, const fuse::ExtentEntry& right) noexcept {
  return left.flags == right.flags && left.logical + left.length == right.logical &&
         left.physical + left.length == right.physical;
}

std::string range_text(std::uint64_t first, std::uint64_t count, int width) {
  return fmt::format("{:>{}}..{:>{}}", first, width, first + count - 1, width);
}

std::string flag_text(const fuse::ExtentEntry& extent, bool last, bool at_end) {
  std::string text;
  const auto add = [&text](bool is_set, std::string_view name) {
    if (!is_set) return;
    if (!text.empty()) text += ',';
    text += name;
  };
  add(last, "last");
  add((extent.flags & fuse::kExtentInline) != 0, "inline");
  add((extent.flags & fuse::kExtentUnwritten) != 0, "unwritten");
  add((extent.flags & fuse::kExtentUnverified) != 0, "no_checksum");
  add(at_end, "eof");
  return text;
}

}  // namespace

void ExtentTable::add(const fuse::ExtentExchange& answer) {
  file_size_ = answer.file_size;
  if (block_size_ == 0) {
    block_size_ = std::max<std::uint64_t>(answer.block_size, 1);  // whoever serves the file may be anybody
    const std::uint64_t blocks = (file_size_ + block_size_ - 1) / block_size_;
    print("File size of {} is {} ({} of {} bytes)\n", format::printable(path_), file_size_,
          format::count_text(blocks, "block"), block_size_);
    print(" ext: {:>{}} {:>{}} length: {:>{}} flags:\n", "logical_offset:", 2 * kLogicalWidth + 3,
          "physical_offset:", 2 * kPhysicalWidth + 3, "expected:", kPhysicalWidth + 1);
  }
  for (std::size_t i = 0; i < answer.count && i < fuse::kExtentsPerExchange; ++i) {
    const fuse::ExtentEntry& extent = answer.entries[i];
    if (extent.length == 0) continue;
    if (pending_ && goes_on(*pending_, extent)) {
      pending_->length += extent.length;
      continue;
    }
    if (pending_) print_row(*pending_, false);
    pending_ = extent;
  }
}

void ExtentTable::finish() {
  if (pending_) print_row(*pending_, true);
  pending_.reset();
}

void ExtentTable::print_row(const fuse::ExtentEntry& extent, bool last) {
  const std::uint64_t unit = (extent.flags & fuse::kExtentInline) != 0 ? 1 : block_size_;
  const std::uint64_t with_hole = expected_ + (extent.logical - logical_end_);
  const bool elsewhere = printed_ != 0 && extent.physical != expected_ && extent.physical != with_hole;
  print("{:>4}: {}: {}: {:>6}: {:>{}} {}\n", printed_,
        range_text(extent.logical / unit, extent.length / unit, kLogicalWidth),
        range_text(extent.physical / unit, extent.length / unit, kPhysicalWidth), extent.length / unit,
        elsewhere ? fmt::format("{}:", with_hole / unit) : std::string(), kPhysicalWidth + 1,
        flag_text(extent, last, extent.logical + extent.length >= file_size_));
  ++printed_;
  expected_ = extent.physical + extent.length;
  logical_end_ = extent.logical + extent.length;
}

}  // namespace ashlar::ctl
