// Memory for the images of tree nodes: pieces of huge pages, so that walking a tree of hundreds of MiB meets few TLB
// misses and nothing is lost to alignment between nodes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "blockio/aligned_buffer.h"

namespace ashlar::store {

class NodeImages;

// One node's image, fit for direct I/O; goes back to where it is from, which outlives it. Move-only. Empty when memory
// is out.
class NodeImage {
 public:
  NodeImage() = default;
  NodeImage(NodeImage&& other) noexcept : source_(std::exchange(other.source_, nullptr)), bytes_(other.bytes_) {}
  NodeImage& operator=(NodeImage&& other) noexcept {
    std::swap(source_, other.source_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~NodeImage();

  [[nodiscard]] bool empty() const noexcept { return source_ == nullptr; }
  [[nodiscard]] std::byte* data() noexcept { return bytes_.data(); }
  [[nodiscard]] const std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::span<std::byte> span() noexcept { return bytes_; }
  [[nodiscard]] std::span<const std::byte> span() const noexcept { return bytes_; }

 private:
  friend class NodeImages;
  NodeImage(NodeImages& source, std::span<std::byte> bytes) noexcept : source_(&source), bytes_(bytes) {}

  NodeImages* source_ = nullptr;
  std::span<std::byte> bytes_;
};

// Thread-safe. Takes memory from the system as it is needed and keeps it for the next: as much as there ever were nodes
// at a time, which the node cache's limit bounds. The image given back last is taken first.
class NodeImages {
 public:
  explicit NodeImages(std::uint32_t node_size) noexcept
      : node_size_(node_size), stride_(std::max<std::size_t>(node_size, blockio::kBufferAlignment)) {}
  ~NodeImages();
  NodeImages(const NodeImages&) = delete;
  NodeImages& operator=(const NodeImages&) = delete;

  // Contents are whatever the last user left.
  [[nodiscard]] NodeImage take();

 private:
  friend class NodeImage;
  // With the lock held; false when memory is out.
  [[nodiscard]] bool grow();
  void give_back(std::span<std::byte> bytes) noexcept;

  const std::size_t node_size_;  // bytes, a power of two
  const std::size_t stride_;     // from one to the next, so that each is aligned for direct I/O
  std::mutex mutex_;
  std::vector<blockio::AlignedBuffer> slabs_;  // a huge page each
  std::vector<std::byte*> free_;               // has room for the images of all slabs
};

inline NodeImage::~NodeImage() {
  if (source_ != nullptr) source_->give_back(bytes_);
}

}  // namespace ashlar::store
