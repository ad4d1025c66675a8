#include "blockio/memory_device.h"

#include <algorithm>
#include <cstring>

#include "blockio/immediate_queue.h"

namespace ashlar::blockio {

void MemoryImage::read(std::uint64_t offset, std::span<std::byte> buffer) const {
  while (!buffer.empty()) {
    const std::size_t within = offset % kPageSize;
    const std::size_t count = std::min(buffer.size(), kPageSize - within);
    const std::shared_ptr<Page>& page = pages_[offset / kPageSize];
    if (page) {
      std::memcpy(buffer.data(), page->data() + within, count);
    } else {
      std::memset(buffer.data(), 0, count);
    }
    buffer = buffer.subspan(count);
    offset += count;
  }
}

MemoryImage::Page& MemoryImage::writable_page(std::size_t index) {
  std::shared_ptr<Page>& page = pages_[index];
  if (!page) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

void MemoryImage::write(std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const std::size_t within = offset % kPageSize;
    const std::size_t count = std::min(data.size(), kPageSize - within);
    std::memcpy(writable_page(offset / kPageSize).data() + within, data.data(), count);
    data = data.subspan(count);
    offset += count;
  }
}

void MemoryImage::zero(std::uint64_t offset, std::uint64_t length) {
  while (length != 0) {
    const std::size_t within = offset % kPageSize;
    const std::size_t count = std::min<std::uint64_t>(length, kPageSize - within);
    if (count == kPageSize) {
      pages_[offset / kPageSize].reset();
    } else {
      std::memset(writable_page(offset / kPageSize).data() + within, 0, count);
    }
    offset += count;
    length -= count;
  }
}

void MemoryImage::grow(std::uint64_t size) {
  if (size <= size_) return;
  size_ = size;
  pages_.resize((size + kPageSize - 1) / kPageSize);
}

MemoryDevice::MemoryDevice(std::uint64_t size, const MemoryDeviceOptions& options)
    : MemoryDevice(MemoryImage(size), options) {}

MemoryDevice::MemoryDevice(MemoryImage image, const MemoryDeviceOptions& options)
    : name_(options.name), image_(std::move(image)) {
  geometry_.kind = DeviceKind::memory;
  geometry_.size = image_.size();
  geometry_.logical_sector = options.sector;
  geometry_.physical_sector = options.sector;
  geometry_.memory_alignment = 8;
  geometry_.discard_granularity = options.sector;
  geometry_.discard_max = image_.size();
  geometry_.write_zeroes_max = image_.size();
  geometry_.read_only = options.read_only;
}

Result<std::unique_ptr<IoQueue>> MemoryDevice::open_queue(const QueueConfig& config) {
  return enrolled(
      ImmediateQueue::open(geometry_, config, {[this](const IoOp& op, std::size_t&) { return perform(op); }, {}}));
}

std::optional<ErrorCode> MemoryDevice::perform(const IoOp& op) {
  const std::scoped_lock lock(mutex_);
  switch (op.kind) {
    case OpKind::read:
      for_each_segment(op, [this](std::uint64_t offset, std::span<std::byte> memory) { image_.read(offset, memory); });
      break;
    case OpKind::write:
    case OpKind::write_durable:
      for_each_segment(op, [this](std::uint64_t offset, std::span<std::byte> memory) { image_.write(offset, memory); });
      break;
    case OpKind::discard:
    case OpKind::write_zeroes: image_.zero(op.offset, op.length); break;
    case OpKind::flush:
    case OpKind::watch:
    case OpKind::compute:
    case OpKind::command: break;
  }
  return std::nullopt;
}

Result<std::uint64_t> MemoryDevice::measure() {
  const std::scoped_lock lock(mutex_);
  geometry_.size = image_.size();
  return image_.size();
}

Status MemoryDevice::extend(std::uint64_t size) {
  enlarge(size);
  TRY(measure());
  return {};
}

void MemoryDevice::enlarge(std::uint64_t size) {
  const std::scoped_lock lock(mutex_);
  image_.grow(size);
}

MemoryImage MemoryDevice::snapshot() const {
  const std::scoped_lock lock(mutex_);
  return image_;
}

void MemoryDevice::restore(MemoryImage image) {
  const std::scoped_lock lock(mutex_);
  image_ = std::move(image);
}

}  // namespace ashlar::blockio
