#include "fs/volume/block_source.h"

#include <algorithm>
#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::volume {
namespace {

bool is_aligned(const std::byte* memory, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(memory) % alignment == 0;
}

}  // namespace

Status BlockSource::assign(std::uint64_t offset, std::span<const std::byte> data, std::uint32_t block_size,
                           std::size_t memory_alignment) {
  block_size_ = block_size;
  first_block_ = offset / block_size;
  head_gap_ = static_cast<std::size_t>(offset % block_size);
  block_count_ = (head_gap_ + data.size() + block_size - 1) / block_size;
  tail_gap_ = static_cast<std::size_t>(block_count_ * block_size - head_gap_ - data.size());

  const std::size_t head_bytes = head_gap_ == 0 ? 0 : std::min<std::size_t>(data.size(), block_size - head_gap_);
  const bool middle_fits = is_aligned(data.data() + head_bytes, memory_alignment);
  const bool copy_all = !middle_fits || block_count_ == 1;
  if (copy_all && head_gap_ == 0 && tail_gap_ == 0 && middle_fits) {
    add_part(block_count_, data.data());
    return {};
  }
  const std::uint64_t head = head_gap_ != 0 ? 1 : 0;
  const std::uint64_t tail = tail_gap_ != 0 ? 1 : 0;
  const std::uint64_t copied = copy_all ? block_count_ : head + tail;
  if (copied != 0) {
    copies_ = blockio::AlignedBuffer(static_cast<std::size_t>(copied * block_size));
    if (copies_.empty()) return fail(ErrorCode::out_of_memory);
  }
  if (copy_all) {
    std::memcpy(copies_.data() + head_gap_, data.data(), data.size());
    add_part(block_count_, copies_.data());
    return {};
  }
  if (head != 0) {
    std::memcpy(copies_.data() + head_gap_, data.data(), head_bytes);
    add_part(1, copies_.data());
  }
  const std::uint64_t middle = block_count_ - head - tail;
  add_part(middle, data.data() + head_bytes);
  if (tail != 0) {
    std::byte* const last = copies_.data() + head * block_size;
    const std::size_t done = head_bytes + static_cast<std::size_t>(middle * block_size);
    std::memcpy(last, data.data() + done, data.size() - done);
    add_part(1, last);
  }
  return {};
}

void BlockSource::add_part(std::uint64_t count, const std::byte* memory) {
  if (count == 0) return;
  const std::uint64_t first =
      part_count_ == 0 ? first_block_ : parts_[part_count_ - 1].first_block + parts_[part_count_ - 1].count;
  parts_[part_count_++] = Part{first, count, memory};
}

std::byte* BlockSource::copy_of(std::uint64_t file_block) const noexcept {
  // Partial blocks always lie in copies_.
  return const_cast<std::byte*>(block(file_block).data());
}

void BlockSource::fill_head(std::span<const std::byte> old_block) noexcept {
  std::memcpy(copy_of(first_block_), old_block.data(), head_gap_);
}

void BlockSource::fill_tail(std::span<const std::byte> old_block) noexcept {
  const std::size_t kept = block_size_ - tail_gap_;
  std::memcpy(copy_of(end_block() - 1) + kept, old_block.data() + kept, tail_gap_);
}

std::span<const std::byte> BlockSource::block(std::uint64_t file_block) const noexcept {
  const Part* part = parts_.data();
  while (file_block >= part->first_block + part->count) ++part;
  return {part->memory + (file_block - part->first_block) * block_size_, block_size_};
}

void BlockSource::append_segments(std::uint64_t file_block, std::uint64_t count, Segments& segments) const {
  const std::uint64_t end = file_block + count;
  for (std::size_t i = 0; i < part_count_; ++i) {
    const Part& part = parts_[i];
    const std::uint64_t from = std::max(file_block, part.first_block);
    const std::uint64_t to = std::min(end, part.first_block + part.count);
    if (from >= to) continue;
    const std::byte* const memory = part.memory + (from - part.first_block) * block_size_;
    segments.push_back({const_cast<std::byte*>(memory), static_cast<std::size_t>((to - from) * block_size_)});
  }
}

BlockSource::Checksums BlockSource::checksums() const {
  Checksums sums;
  sums.reserve(static_cast<std::size_t>(block_count_));
  for (std::size_t i = 0; i < part_count_; ++i) {
    for (std::uint64_t n = 0; n < parts_[i].count; ++n) {
      sums.push_back(format::crc32c({parts_[i].memory + n * block_size_, block_size_}));
    }
  }
  return sums;
}

}  // namespace ashlar::volume
