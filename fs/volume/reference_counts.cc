#include "fs/volume/reference_counts.h"

#include <algorithm>

namespace ashlar::volume {
namespace {

constexpr float kFull = 0.8F;           // there may be counts of millions
constexpr std::size_t kBucketHead = 8;  // what robin_map keeps beside each number and what it stands for

}  // namespace

ReferenceCounts::ReferenceCounts() { pages_.max_load_factor(kFull); }

void ReferenceCounts::add(std::uint64_t number, std::uint64_t count) {
  if (count >= kLarge) large_[number] = count;
  Page& page = pages_.try_emplace(number / kPageNumbers, Page{}).first.value();
  page[number % kPageNumbers] = static_cast<std::uint8_t>(std::min<std::uint64_t>(count, kLarge));
}

std::uint64_t ReferenceCounts::take(std::uint64_t number) {
  const auto found = pages_.find(number / kPageNumbers);
  if (found == pages_.end()) return 0;
  std::uint8_t& small = found.value()[number % kPageNumbers];
  std::uint64_t count = small;
  if (small == kLarge) {
    const auto large = large_.find(number);
    count = large->second;
    large_.erase(large);
  }
  small = 0;
  const Page& page = found->second;
  if (std::all_of(page.begin(), page.end(), [](std::uint8_t left) { return left == 0; })) pages_.erase(found);
  return count;
}

void ReferenceCounts::drop(std::uint64_t number, std::uint64_t count) {
  const std::uint64_t held = take(number);
  if (held > count) add(number, held - count);
}

void ReferenceCounts::clear() {
  pages_.clear();
  large_.clear();
}

std::size_t ReferenceCounts::bytes() const noexcept {
  return pages_.bucket_count() * (sizeof(std::pair<std::uint64_t, Page>) + kBucketHead) +
         large_.bucket_count() * (sizeof(std::pair<std::uint64_t, std::uint64_t>) + kBucketHead);
}

}  // namespace ashlar::volume
